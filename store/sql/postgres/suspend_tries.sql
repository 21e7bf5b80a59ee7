-- T7: what the suspended try has left so far.
insert into suspended_try (task_instance_id, try_number, claim_id, resume, rendered, log_next_seq, log_bytes, log_lines,
    log_bytes_dropped, suspended_at)
select t.id, t.try_number, x.claim, x.resume, x.rendered, x.log_next_seq, x.log_bytes, x.log_lines, x.log_bytes_dropped,
    x.ended_at
from json_to_recordset($1::json) as x(id bigint, claim bigint, resume text, rendered text, log_next_seq bigint,
    log_bytes bigint, log_lines bigint, log_bytes_dropped bigint, ended_at bigint)
join task_instance t on t.id = x.id
on conflict (task_instance_id) do update set try_number = excluded.try_number, claim_id = excluded.claim_id,
    resume = excluded.resume, rendered = excluded.rendered, log_next_seq = excluded.log_next_seq,
    log_bytes = excluded.log_bytes, log_lines = excluded.log_lines, log_bytes_dropped = excluded.log_bytes_dropped,
    suspended_at = excluded.suspended_at
