select h.task_instance_id, h.epoch, h.question, h.responded_by, h.closed_at is null as is_open
from human_task h
where h.dag_run_id in (select value from json_each($1))
order by h.id
