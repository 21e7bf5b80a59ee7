delete from xcom
where task_instance_id in (select id from task_instance where id in (select value from json_each($1)) and state = 'none')
  and dag_run_id in (select dag_run_id from task_instance where id in (select value from json_each($1)))
