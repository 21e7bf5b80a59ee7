-- One part for each partial index.
select dag_id, state, count(*)
from dag_run
where state = 'queued' and dag_id = any(array(select json_array_elements_text($1::json)))
group by dag_id, state
union all
select dag_id, state, count(*)
from dag_run
where state = 'running' and dag_id = any(array(select json_array_elements_text($1::json)))
group by dag_id, state
