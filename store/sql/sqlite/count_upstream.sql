update task_instance set
    upstream_success = upstream_success + (x.value ->> 'success'),
    upstream_failed = upstream_failed + (x.value ->> 'failed'),
    upstream_upstream_failed = upstream_upstream_failed + (x.value ->> 'upstream_failed'),
    upstream_skipped = upstream_skipped + (x.value ->> 'skipped'),
    upstream_removed = upstream_removed + (x.value ->> 'removed')
from json_each($1) x
where dag_run_id = x.value ->> 'run' and task_index = x.value ->> 'index'
returning id, dag_run_id, dag_id, task_index, state, pool, pool_slots, priority, upstream_total, upstream_success,
    upstream_failed, upstream_upstream_failed, upstream_skipped, upstream_removed
