-- The previous run is the one with the next earlier logical date; without one the past is clear.
select distinct t.id
from json_each($1) x
join task_instance t on t.id = x.value ->> 'ti'
join dag_run r on r.id = t.dag_run_id
where exists (
    select 1 from task_instance p
    where p.task_id = x.value ->> 'task' and p.state not in ('success', 'skipped')
      and p.dag_run_id = (
        select q.id from dag_run q
        where q.dag_id = r.dag_id and q.logical_date < r.logical_date
        order by q.logical_date desc limit 1))
