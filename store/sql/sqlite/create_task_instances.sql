-- T0. A run that was started before (and cleared) keeps the instances it has.
insert into task_instance (dag_run_id, dag_id, task_id, task_index, max_tries, at_most_once, pool, pool_slots, queue,
    priority, upstream_total, is_leaf, waits_for_past,
    must_expand, max_per_dag, max_per_run, callbacks, state, changed_at, actor, actor_id)
select x.value ->> 'run', x.value ->> 'dag', x.value ->> 'task', x.value ->> 'index',
    x.value ->> 'max_tries', x.value ->> 'at_most_once', x.value ->> 'pool', x.value ->> 'pool_slots',
    x.value ->> 'queue', x.value ->> 'priority', x.value ->> 'upstream', x.value ->> 'is_leaf', x.value ->> 'waits_for_past',
    x.value ->> 'must_expand', x.value ->> 'max_per_dag', x.value ->> 'max_per_run', x.value ->> 'callbacks',
    'none', $2, 'scheduler', $3
from json_each($1) x
where true
on conflict (dag_run_id, task_index, map_index) do nothing
