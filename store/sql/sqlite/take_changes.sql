delete from run_change where dag_run_id in (select value from json_each($1))
returning id, dag_run_id, task_instance_id, task_index, map_index, from_state, to_state
