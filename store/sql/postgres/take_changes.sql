delete from run_change where dag_run_id = any(array(select value::bigint from json_array_elements_text($1::json)))
returning id, dag_run_id, task_instance_id, task_index, map_index, from_state, to_state
