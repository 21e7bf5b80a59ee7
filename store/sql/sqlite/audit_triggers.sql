select g.task_instance_id, g.epoch
from trigger g
where g.task_instance_id in (select t.id from task_instance t where t.dag_run_id in (select value from json_each($1)))
