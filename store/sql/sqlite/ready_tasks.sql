-- LIMIT may not name a column in SQLite, so each pair gets as many as the largest offer.
select r.id, r.dag_id, r.pool, r.pool_slots, r.priority
from json_each($1) x
join task_instance r on r.id in (
    select t.id from task_instance t
    where t.state = 'scheduled' and t.dag_id = x.value ->> 'dag' and t.pool = x.value ->> 'pool'
      and t.pool_slots <= x.value ->> 'slots' and (t.not_before is null or t.not_before <= $2)
    order by t.priority desc, t.id
    limit (select max(y.value ->> 'k') from json_each($1) y)
)
