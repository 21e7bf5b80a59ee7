-- Each DAG and pool with scheduled tasks, found by leaping through the index: the cost is one leap per pair.
with recursive pair(dag_id, pool) as (
    select * from (select dag_id, pool from task_instance where state = 'scheduled' order by dag_id, pool limit 1)
    union all
    select
        (select t.dag_id from task_instance t
         where t.state = 'scheduled' and (t.dag_id, t.pool) > (p.dag_id, p.pool) order by t.dag_id, t.pool limit 1),
        (select t.pool from task_instance t
         where t.state = 'scheduled' and (t.dag_id, t.pool) > (p.dag_id, p.pool) order by t.dag_id, t.pool limit 1)
    from pair p
    where p.dag_id is not null
)
select p.dag_id, p.pool, d.max_active_tasks, d.is_paused
from pair p join dag d on d.dag_id = p.dag_id
