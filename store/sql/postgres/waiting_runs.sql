-- The first in line of each DAG, at most as many as its limit lets run.
select r.dag_id, r.id, r.run_after
from json_to_recordset($1::json) as x(dag text, k bigint)
cross join lateral (
    select dag_id, id, run_after from dag_run
    where dag_id = x.dag and state = 'queued'
    order by run_after, id
    limit x.k
) r
order by r.dag_id, r.run_after, r.id
