-- The rest of the logs of attempts whose outcome has just been accepted.
insert into task_log (task_instance_id, try_number, seq, content)
select x.value ->> 'task_instance', x.value ->> 'try_number', x.value ->> 'seq', x.value ->> 'content'
from json_each($1) x
where true
on conflict (task_instance_id, try_number, seq) do nothing
