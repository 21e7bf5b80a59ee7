select task_instance_id, key, epoch from xcom where dag_run_id = any(array(select value::bigint from json_array_elements_text($1::json)))
