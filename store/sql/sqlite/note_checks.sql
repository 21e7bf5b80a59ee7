-- What the looks at triggers have found, for people. Not by the index of owners (hence `+`): each note would then be
-- compared with all triggers of the triggerer.
update trigger set checks = x.value ->> 'checks', checked_at = x.value ->> 'checked_at',
    next_check_at = x.value ->> 'next_check_at', note = x.value ->> 'note'
from json_each($2) x
where task_instance_id = x.value ->> 'id' and epoch = x.value ->> 'epoch' and +owner = $1
