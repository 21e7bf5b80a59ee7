select id, dag_run_id, dag_id, task_id, task_index, map_index, must_expand, not_before, state, pool, pool_slots, priority,
    max_per_dag, max_per_run, upstream_total, upstream_success, upstream_failed, upstream_upstream_failed,
    upstream_skipped, upstream_removed
from task_instance
where waits_for_past and ($2 or dag_id in (select value from json_each($1)))
limit 1000
