-- The newest scheduled runs of some DAGs, as far as they have ended: how they ended, newest first.
select r.dag_id, r.state = 'failed', coalesce(r.started_at, r.created_at)
from json_each($1) x
join dag_run r on r.dag_id = x.value and r.id in (
    select q.id from dag_run q where q.dag_id = x.value order by q.id desc limit 10)
where r.run_type = 'scheduled' and r.state in ('success', 'failed')
order by r.dag_id, r.id desc
