-- Attempts that have ended, or were suspended, under the very token of the report: it was recorded before.
select a.task_instance_id
from json_each($1) x
join attempt a on a.task_instance_id = x.value ->> 'id' and a.claim_id = x.value ->> 'claim'
union
select s.task_instance_id
from json_each($1) x
join suspended_try s on s.task_instance_id = x.value ->> 'id' and s.claim_id = x.value ->> 'claim'
