select dag_id, version_id, is_active, next_tick, first_seen_at, has_scheduled_run, max_active_runs
from dag
where check_at <= $1 and not is_paused and version_id is not null
order by check_at, dag_id
limit $2
