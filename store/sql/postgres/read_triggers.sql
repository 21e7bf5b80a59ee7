select g.task_instance_id, g.epoch, g.args, g.due_at, g.created_at, g.checks, t.dag_run_id, t.dag_id, t.task_id, t.map_index,
    t.try_number
from trigger g join task_instance t on t.id = g.task_instance_id
where g.task_instance_id = any(array(select value::bigint from json_array_elements_text($1::json)))
