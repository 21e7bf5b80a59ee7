-- T0. A run that was started before (and cleared) keeps the instances it has.
insert into task_instance (dag_run_id, dag_id, task_id, task_index, max_tries, at_most_once, pool, pool_slots, queue,
    priority, upstream_total, is_leaf, waits_for_past,
    must_expand, max_per_dag, max_per_run, callbacks, state, changed_at, actor, actor_id)
select x.run, x.dag, x.task, x.index, x.max_tries, x.at_most_once, x.pool, x.pool_slots, x.queue,
    x.priority, x.upstream, x.is_leaf, x.waits_for_past, x.must_expand, x.max_per_dag, x.max_per_run, x.callbacks, 'none', $2, 'scheduler', $3
from json_to_recordset($1::json) as x(run bigint, dag text, task text, "index" bigint, max_tries bigint, at_most_once boolean, pool text,
    pool_slots bigint, queue text, priority bigint, upstream bigint, is_leaf boolean, waits_for_past boolean,
    must_expand boolean, max_per_dag bigint, max_per_run bigint, callbacks bigint)
on conflict (dag_run_id, task_index, map_index) do nothing
