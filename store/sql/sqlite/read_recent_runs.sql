select r.dag_id, r.run_id, r.state, r.run_after, r.started_at, r.ended_at
from json_each($1) x
join dag_run r on r.id in (select q.id from dag_run q where q.dag_id = x.value order by q.id desc limit $2)
order by r.id desc
