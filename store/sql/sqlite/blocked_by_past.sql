-- The previous run is the one with the next earlier logical date; without one the past is clear. One that has not
-- started has no task instances yet, and blocks.
select distinct t.id
from json_each($1) x
join task_instance t on t.id = x.value ->> 'ti'
join dag_run r on r.id = t.dag_run_id
join dag_run q on q.id = (
    select e.id from dag_run e
    where e.dag_id = r.dag_id and e.logical_date < r.logical_date
    order by e.logical_date desc, e.id desc limit 1)
where (q.state = 'queued' and q.started_at is null)
   or exists (
    select 1 from task_instance p
    where p.dag_run_id = q.id and p.task_id = x.value ->> 'task' and p.state not in ('success', 'skipped', 'removed'))
