-- The first in line of each DAG. LIMIT may not name a column in SQLite, so each DAG gets as many as the largest limit.
select r.dag_id, r.id, r.run_after
from json_each($1) x
join dag_run r on r.id in (
    select q.id from dag_run q
    where q.dag_id = x.value ->> 'dag' and q.state = 'queued'
    order by q.run_after, q.id
    limit (select max(y.value ->> 'k') from json_each($1) y)
)
order by r.dag_id, r.run_after, r.id
