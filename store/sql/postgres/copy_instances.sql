-- T0 for the instances of a mapped task beyond the first: they stand where that one stands.
insert into task_instance (dag_run_id, dag_id, task_id, task_index, max_tries, at_most_once, pool, pool_slots, queue, priority,
    upstream_total, upstream_success, upstream_failed, upstream_upstream_failed, upstream_skipped, upstream_removed,
    is_leaf, max_per_dag, max_per_run, callbacks, not_before, map_index, map_value, state, changed_at, actor, actor_id)
select t.dag_run_id, t.dag_id, t.task_id, t.task_index, t.max_tries, t.at_most_once, t.pool, t.pool_slots, t.queue, t.priority,
    t.upstream_total, t.upstream_success, t.upstream_failed, t.upstream_upstream_failed, t.upstream_skipped,
    t.upstream_removed, t.is_leaf, t.max_per_dag, t.max_per_run, t.callbacks, t.not_before, x.map_index, x.map_value, 'none', $2, 'scheduler', $3
from json_to_recordset($1::json) as x(of bigint, map_index bigint, map_value text)
join task_instance t on t.id = x.of
on conflict (dag_run_id, task_index, map_index) do nothing
returning id, task_index
