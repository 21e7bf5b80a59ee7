select g.task_instance_id, g.epoch
from trigger g
where g.task_instance_id in (select t.id from task_instance t where t.dag_run_id = any(array(select value::bigint from json_array_elements_text($1::json))))
