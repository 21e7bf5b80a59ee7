-- The previous run is the one with the next earlier logical date; without one the past is clear. One that has not
-- started has no task instances yet, and blocks.
select distinct x.ti
from json_to_recordset($1::json) as x(ti bigint, task text)
join task_instance t on t.id = x.ti
join dag_run r on r.id = t.dag_run_id
cross join lateral (
    select q.id, q.started_at, q.state from dag_run q
    where q.dag_id = r.dag_id and q.logical_date < r.logical_date
    order by q.logical_date desc, q.id desc limit 1) q
left join lateral (
    select p.id from task_instance p
    where p.dag_run_id = q.id and p.task_id = x.task and p.state not in ('success', 'skipped', 'removed') limit 1) p on true
where p.id is not null or (q.state = 'queued' and q.started_at is null)
