-- Values of an epoch that is over.
delete from xcom
where dag_run_id = $2 and task_instance_id in (select value from json_each($1))
