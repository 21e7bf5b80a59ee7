select dag_id, state, count(*)
from dag_run
where state in ('queued', 'running') and dag_id in (select json_array_elements_text($1::json))
group by dag_id, state
