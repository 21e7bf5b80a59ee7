-- What those who carry callbacks out have to know. For an event of a run, the task columns mean nothing.
select c.id as callback_id, c.event, c.reason, c.tries, c.delivered, c.task_instance_id is null as is_of_run,
    coalesce(t.id, 0) as id, coalesce(t.epoch, 0) as epoch, 0 as claim_id, r.id as dag_run_id, r.run_id, r.run_type,
    r.version_id, coalesce(t.task_index, 0) as task_index, coalesce(t.map_index, -1) as map_index, t.map_value,
    t.scheduled_at, c.try_number, coalesce(t.max_tries, 0) as max_tries, r.logical_date, r.data_interval_start,
    r.data_interval_end, r.run_after, r.started_at, r.conf, t.started_at as try_started_at,
    false as is_continued, null as resume, null as suspended_try_number, null as log_next_seq, null as log_bytes,
    null as log_lines, null as log_bytes_dropped
from callback c
join dag_run r on r.id = c.dag_run_id
left join task_instance t on t.id = c.task_instance_id
where c.id in (select value from json_each($1))
order by c.id
