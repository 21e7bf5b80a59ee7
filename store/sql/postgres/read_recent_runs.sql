select r.dag_id, r.run_id, r.state, r.run_after, r.started_at, r.ended_at
from json_array_elements_text($1::json) x(dag)
cross join lateral (
    select q.id, q.dag_id, q.run_id, q.state, q.run_after, q.started_at, q.ended_at
    from dag_run q where q.dag_id = x.dag order by q.id desc limit $2
) r
order by r.id desc
