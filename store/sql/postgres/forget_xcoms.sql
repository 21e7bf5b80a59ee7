-- Values of an epoch that is over.
delete from xcom
where dag_run_id = $2 and task_instance_id = any(array(select value::bigint from json_array_elements_text($1::json)))
