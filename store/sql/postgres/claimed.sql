select t.id, t.epoch, t.claim_id, t.dag_run_id, r.run_id, r.run_type, r.version_id, t.task_index, t.map_index, t.map_value, t.scheduled_at,
    t.try_number, t.max_tries, r.logical_date, r.data_interval_start, r.data_interval_end, r.run_after, r.started_at,
    r.conf, t.started_at as try_started_at, s.task_instance_id is not null as is_continued, s.resume,
    s.try_number as suspended_try_number, s.log_next_seq, s.log_bytes, s.log_lines, s.log_bytes_dropped
from json_to_recordset($1::json) as x(task_instance bigint, epoch bigint, claim bigint)
join task_instance t on t.id = x.task_instance and t.epoch = x.epoch and t.claim_id = x.claim and t.state = 'running'
join dag_run r on r.id = t.dag_run_id
left join suspended_try s on s.task_instance_id = t.id
