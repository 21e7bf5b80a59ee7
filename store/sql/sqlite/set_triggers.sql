insert into trigger (task_instance_id, epoch, kind, args, is_timer, due_at, deadline_at, created_at)
select x.value ->> 'id', x.value ->> 'epoch', x.value ->> 'kind', x.value ->> 'args', x.value ->> 'is_timer',
    x.value ->> 'due_at', x.value ->> 'deadline_at', $2
from json_each($1) x
