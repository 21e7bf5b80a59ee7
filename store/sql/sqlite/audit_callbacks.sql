select dag_run_id, task_instance_id, event_no, event from callback where dag_run_id in (select value from json_each($1))
