-- T7: what the suspended try has left so far.
insert into suspended_try (task_instance_id, try_number, claim_id, resume, rendered, log_next_seq, log_bytes, log_lines,
    log_bytes_dropped, suspended_at)
select t.id, t.try_number, x.value ->> 'claim', x.value ->> 'resume', x.value ->> 'rendered', x.value ->> 'log_next_seq',
    x.value ->> 'log_bytes', x.value ->> 'log_lines', x.value ->> 'log_bytes_dropped', x.value ->> 'ended_at'
from json_each($1) x
join task_instance t on t.id = x.value ->> 'id'
where true
on conflict (task_instance_id) do update set try_number = excluded.try_number, claim_id = excluded.claim_id,
    resume = excluded.resume, rendered = excluded.rendered, log_next_seq = excluded.log_next_seq,
    log_bytes = excluded.log_bytes, log_lines = excluded.log_lines, log_bytes_dropped = excluded.log_bytes_dropped,
    suspended_at = excluded.suspended_at
