-- Pieces of attempts that are no longer the task instance's own are dropped; those of a suspended part may come late.
insert into task_log (task_instance_id, try_number, seq, content)
select x.task_instance, x.try_number, x.seq, x.content
from json_to_recordset($1::json) as x(task_instance bigint, epoch bigint, claim bigint, try_number bigint, seq bigint, content text)
join task_instance t on t.id = x.task_instance
left join suspended_try s on s.task_instance_id = x.task_instance
where (t.epoch = x.epoch and t.claim_id = x.claim) or s.claim_id = x.claim
on conflict (task_instance_id, try_number, seq) do nothing
