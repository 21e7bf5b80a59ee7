select dag_run_id, event_no, from_state, to_state, actor, reason
from dag_run_event
where dag_run_id = any(array(select value::bigint from json_array_elements_text($1::json)))
order by dag_run_id, event_no
