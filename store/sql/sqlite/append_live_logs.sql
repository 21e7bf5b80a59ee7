-- Pieces of attempts that are no longer the task instance's own are dropped; those of a suspended part may come late.
insert into task_log (task_instance_id, try_number, seq, content)
select x.value ->> 'task_instance', x.value ->> 'try_number', x.value ->> 'seq', x.value ->> 'content'
from json_each($1) x
join task_instance t on t.id = x.value ->> 'task_instance'
left join suspended_try s on s.task_instance_id = t.id
where (t.epoch = x.value ->> 'epoch' and t.claim_id = x.value ->> 'claim') or s.claim_id = x.value ->> 'claim'
on conflict (task_instance_id, try_number, seq) do nothing
