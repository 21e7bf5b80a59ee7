select h.task_instance_id, h.epoch, h.question, h.responded_by, h.closed_at is null as is_open
from human_task h
where h.dag_run_id = any(array(select value::bigint from json_array_elements_text($1::json)))
order by h.id
