-- What the part that goes on is told.
update suspended_try set resume = x.value ->> 'resume', log_next_seq = x.value ->> 'log_next_seq',
    log_bytes = x.value ->> 'log_bytes', log_lines = x.value ->> 'log_lines'
from json_each($1) x
where task_instance_id = x.value ->> 'id'
