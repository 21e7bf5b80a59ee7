insert into dispatch_outbox (task_instance_id, epoch, queue, created_at)
select x.value ->> 'task_instance', x.value ->> 'epoch', x.value ->> 'queue', $2
from json_each($1) x
returning id
