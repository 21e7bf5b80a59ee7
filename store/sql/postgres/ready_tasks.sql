select r.id, r.dag_id, r.pool, r.pool_slots, r.priority
from json_to_recordset($1::json) as x(dag text, pool text, slots bigint, k bigint)
cross join lateral (
    select id, dag_id, pool, pool_slots, priority from task_instance
    where state = 'scheduled' and dag_id = x.dag and pool = x.pool and pool_slots <= x.slots
      and (not_before is null or not_before <= $2)
    order by priority desc, id
    limit x.k
) r
