insert into dispatch_outbox (task_instance_id, epoch, queue, created_at)
select x.task_instance, x.epoch, x.queue, $2
from json_to_recordset($1::json) as x(task_instance bigint, epoch bigint, queue text)
returning id
