-- What the part that goes on is told.
update suspended_try s set resume = x.resume, log_next_seq = x.log_next_seq, log_bytes = x.log_bytes,
    log_lines = x.log_lines
from json_to_recordset($1::json) as x(id bigint, resume text, log_next_seq bigint, log_bytes bigint, log_lines bigint)
where s.task_instance_id = x.id
