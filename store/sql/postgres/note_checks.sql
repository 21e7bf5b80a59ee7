-- What the looks at triggers have found, for people.
update trigger g set checks = x.checks, checked_at = x.checked_at, next_check_at = x.next_check_at, note = x.note
from json_to_recordset($2::json) as x(id bigint, epoch bigint, checks bigint, checked_at bigint, next_check_at bigint,
    note text)
where g.task_instance_id = x.id and g.epoch = x.epoch and g.owner = $1
