insert into trigger (task_instance_id, epoch, kind, args, is_timer, due_at, deadline_at, created_at)
select x.id, x.epoch, x.kind, x.args, x.is_timer, x.due_at, x.deadline_at, $2
from json_to_recordset($1::json) as x(id bigint, epoch bigint, kind text, args text, is_timer boolean, due_at bigint,
    deadline_at bigint)
