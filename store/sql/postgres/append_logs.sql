-- The rest of the logs of attempts whose outcome has just been accepted.
insert into task_log (task_instance_id, try_number, seq, content)
select x.task_instance, x.try_number, x.seq, x.content
from json_to_recordset($1::json) as x(task_instance bigint, claim bigint, try_number bigint, seq bigint, content text)
on conflict (task_instance_id, try_number, seq) do nothing
