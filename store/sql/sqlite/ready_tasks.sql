-- LIMIT may not name a column in SQLite, so each pair gets as many as the largest offer.
select r.id, r.dag_id, r.pool, r.pool_slots, r.priority, r.dag_run_id, r.task_id, r.max_per_dag, r.max_per_run
from json_each($1) x
join task_instance r on r.id in (
    select t.id from task_instance t
    where t.state = 'scheduled' and t.dag_id = x.value ->> 'dag' and t.pool = x.value ->> 'pool'
      and t.pool_slots <= x.value ->> 'slots' and (t.not_before is null or t.not_before <= $2)
      -- Tasks that are at their own limit would only stand in the way of others.
      and ((t.max_per_dag is null and t.max_per_run is null) or not exists (
        select 1 from json_each($3) f
        where f.value ->> 'dag' = t.dag_id and f.value ->> 'task' = t.task_id
          and (f.value ->> 'run' is null or f.value ->> 'run' = t.dag_run_id)))
    order by t.priority desc, t.id
    limit (select max(y.value ->> 'k') from json_each($1) y)
)
