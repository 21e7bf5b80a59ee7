insert into attempt (task_instance_id, try_number, claim_id, state, exit_code, rendered, log_bytes, log_lines,
    log_bytes_dropped, started_at, ended_at)
select t.id, t.try_number, x.value ->> 'claim', t.state, x.value ->> 'exit_code', x.value ->> 'rendered',
    x.value ->> 'log_bytes', x.value ->> 'log_lines', x.value ->> 'log_bytes_dropped', t.started_at,
    x.value ->> 'ended_at'
from json_each($1) x
join task_instance t on t.id = x.value ->> 'id'
where true
on conflict (task_instance_id, try_number) do nothing
