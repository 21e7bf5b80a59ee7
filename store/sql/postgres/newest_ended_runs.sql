-- The newest scheduled runs of some DAGs, as far as they have ended: how they ended, newest first.
select x.dag, q.state = 'failed', coalesce(q.started_at, q.created_at)
from json_array_elements_text($1::json) as x(dag)
cross join lateral (
    select r.id, r.run_type, r.state, r.started_at, r.created_at from dag_run r
    where r.dag_id = x.dag order by r.id desc limit 10) q
where q.run_type = 'scheduled' and q.state in ('success', 'failed')
order by x.dag, q.id desc
