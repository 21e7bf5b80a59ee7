-- The unique index on (dag_id, logical_date) makes a tick that two schedulers see run once.
insert into dag_run (dag_id, run_id, run_type, triggered_by, version_id, state, logical_date, data_interval_start,
    data_interval_end, run_after, conf, created_at, changed_at, actor, actor_id)
select x.value ->> 'dag', x.value ->> 'run_id', 'scheduled', 'timetable', x.value ->> 'version', 'queued',
    x.value ->> 'logical_date', x.value ->> 'interval_start', x.value ->> 'interval_end', x.value ->> 'run_after',
    '{}', $2, $2, 'scheduler', $3
from json_each($1) x
where true
on conflict do nothing
returning id, dag_id, run_id
