insert into attempt (task_instance_id, try_number, claim_id, state, exit_code, rendered, log_bytes, log_lines,
    log_bytes_dropped, started_at, ended_at)
select t.id, t.try_number, x.claim, t.state, x.exit_code, x.rendered, x.log_bytes, x.log_lines, x.log_bytes_dropped,
    t.started_at, x.ended_at
from json_to_recordset($1::json) as x(id bigint, claim bigint, exit_code bigint, rendered text, log_bytes bigint,
    log_lines bigint, log_bytes_dropped bigint, ended_at bigint)
join task_instance t on t.id = x.id
on conflict (task_instance_id, try_number) do nothing
