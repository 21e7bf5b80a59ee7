-- An entry is about all instances of a task, or about the one with its map index. As a range, which the index serves: with an
-- `or`, each entry would read all instances of the task.
update task_instance set
    upstream_success = upstream_success + (x.value ->> 'success'),
    upstream_failed = upstream_failed + (x.value ->> 'failed'),
    upstream_upstream_failed = upstream_upstream_failed + (x.value ->> 'upstream_failed'),
    upstream_skipped = upstream_skipped + (x.value ->> 'skipped'),
    upstream_removed = upstream_removed + (x.value ->> 'removed')
from json_each($1) x
where dag_run_id = x.value ->> 'run' and task_index = x.value ->> 'index'
  and map_index between coalesce(x.value ->> 'map', -1) and coalesce(x.value ->> 'map', 9223372036854775807)
returning id, dag_run_id, dag_id, task_id, task_index, map_index, must_expand, not_before, state, pool, pool_slots, priority,
    max_per_dag, max_per_run, upstream_total, upstream_success, upstream_failed, upstream_upstream_failed,
    upstream_skipped, upstream_removed
