select task_instance_id, key, epoch from xcom where dag_run_id in (select value from json_each($1))
