select t.id, t.epoch, t.claim_id, t.dag_run_id, r.run_id, r.run_type, r.version_id, t.task_index, t.map_index, t.map_value, t.scheduled_at,
    t.try_number, t.max_tries, r.logical_date, r.data_interval_start, r.data_interval_end, r.run_after, r.started_at,
    r.conf, t.started_at as try_started_at, s.task_instance_id is not null as is_continued, s.resume,
    s.try_number as suspended_try_number, s.log_next_seq, s.log_bytes, s.log_lines, s.log_bytes_dropped
from json_each($1) x
join task_instance t on t.id = x.value ->> 'task_instance'
join dag_run r on r.id = t.dag_run_id
left join suspended_try s on s.task_instance_id = t.id
where t.epoch = x.value ->> 'epoch' and t.claim_id = x.value ->> 'claim' and t.state = 'running'
