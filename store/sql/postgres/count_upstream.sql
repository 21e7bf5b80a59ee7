-- An entry is about all instances of a task, or about the one with its map index. As a range, which the index serves: with an
-- `or`, each entry would read all instances of the task.
update task_instance t set
    upstream_success = upstream_success + x.success,
    upstream_failed = t.upstream_failed + x.failed,
    upstream_upstream_failed = upstream_upstream_failed + x.upstream_failed,
    upstream_skipped = upstream_skipped + x.skipped,
    upstream_removed = upstream_removed + x.removed
from json_to_recordset($1::json) as x(run bigint, "index" bigint, map bigint, success bigint, failed bigint,
    upstream_failed bigint, skipped bigint, removed bigint)
where t.dag_run_id = x.run and t.task_index = x.index 
  and t.map_index between coalesce(x.map, -1) and coalesce(x.map, 9223372036854775807)
returning t.id, t.dag_run_id, t.dag_id, t.task_id, t.task_index, t.map_index, t.must_expand, t.not_before, t.state, t.pool, t.pool_slots,
    t.priority, t.max_per_dag, t.max_per_run, t.upstream_total, t.upstream_success, t.upstream_failed,
    t.upstream_upstream_failed, t.upstream_skipped, t.upstream_removed
