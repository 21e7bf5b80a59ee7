-- The unique index on (dag_id, logical_date) makes a tick that two schedulers see run once.
insert into dag_run (dag_id, run_id, run_type, triggered_by, version_id, state, logical_date, data_interval_start,
    data_interval_end, run_after, conf, created_at, changed_at, actor, actor_id)
select x.dag, x.run_id, 'scheduled', 'timetable', x.version, 'queued', x.logical_date, x.interval_start,
    x.interval_end, x.run_after, '{}', $2, $2, 'scheduler', $3
from json_to_recordset($1::json) as x(dag text, run_id text, version bigint, logical_date bigint,
    interval_start bigint, interval_end bigint, run_after bigint)
on conflict do nothing
returning id, dag_id, run_id
