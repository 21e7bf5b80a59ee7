select dag_run_id, event_no, from_state, to_state, actor, reason
from dag_run_event
where dag_run_id in (select value from json_each($1))
order by dag_run_id, event_no
