select dag_id, state, count(*)
from dag_run
where state = 'queued' and dag_id in (select value from json_each($1))
group by dag_id, state
union all
select dag_id, state, count(*)
from dag_run
where state = 'running' and dag_id in (select value from json_each($1))
group by dag_id, state
