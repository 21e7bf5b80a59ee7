select g.task_instance_id, g.epoch, g.args, g.due_at, g.created_at, g.checks, t.dag_run_id, t.dag_id, t.task_id, t.map_index,
    t.try_number
from json_each($1) x
join trigger g on g.task_instance_id = x.value
join task_instance t on t.id = g.task_instance_id
