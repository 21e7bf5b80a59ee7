select r.id, r.dag_id, r.pool, r.pool_slots, r.priority, r.dag_run_id, r.task_id, r.max_per_dag, r.max_per_run
from json_to_recordset($1::json) as x(dag text, pool text, slots bigint, k bigint)
cross join lateral (
    select id, dag_id, pool, pool_slots, priority, dag_run_id, task_id, max_per_dag, max_per_run from task_instance
    where state = 'scheduled' and dag_id = x.dag and pool = x.pool and pool_slots <= x.slots
      and (not_before is null or not_before <= $2)
      -- Tasks that are at their own limit would only stand in the way of others.
      and ((max_per_dag is null and max_per_run is null) or not exists (
        select 1 from json_to_recordset($3::json) as f(dag text, run bigint, task text)
        where f.dag = dag_id and f.task = task_id and (f.run is null or f.run = dag_run_id)))
    order by priority desc, id
    limit x.k
) r
