-- Each DAG and pool with scheduled tasks, found by leaping through the index: the cost is one leap per pair.
with recursive pair as (
    (select dag_id, pool from task_instance where state = 'scheduled' order by dag_id, pool limit 1)
    union all
    select n.dag_id, n.pool
    from pair p
    cross join lateral (
        select dag_id, pool from task_instance
        where state = 'scheduled' and (dag_id, pool) > (p.dag_id, p.pool)
        order by dag_id, pool limit 1
    ) n
)
select p.dag_id, p.pool, d.max_active_tasks, d.is_paused
from pair p join dag d on d.dag_id = p.dag_id
