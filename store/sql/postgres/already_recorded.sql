-- Attempts that have ended under the very token of the report: it was recorded before.
select a.task_instance_id
from json_to_recordset($1::json) as x(id bigint, claim bigint)
join attempt a on a.task_instance_id = x.id and a.claim_id = x.claim
