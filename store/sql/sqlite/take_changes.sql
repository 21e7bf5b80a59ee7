delete from run_change where dag_run_id in (select value from json_each($1))
returning dag_run_id, task_index, from_state, to_state
