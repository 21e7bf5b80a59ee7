select id, dag_run_id, task_index, map_index, state, epoch, try_number, max_tries, lost_count, event_no
from task_instance
where dag_run_id = any(array(select value::bigint from json_array_elements_text($1::json)))
order by dag_run_id, task_index, map_index
