select a.task_instance_id, a.try_number, a.claim_id, a.state, a.ended_at
from attempt a
where a.task_instance_id in (select t.id from task_instance t where t.dag_run_id in (select value from json_each($1)))
