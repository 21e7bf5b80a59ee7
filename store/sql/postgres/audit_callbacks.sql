select dag_run_id, task_instance_id, event_no, event from callback
where dag_run_id = any(array(select value::bigint from json_array_elements_text($1::json)))
