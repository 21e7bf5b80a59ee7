select id, task_index, map_index, state, must_expand from task_instance
where dag_run_id = $1 and task_index in (select value from json_each($2))
order by task_index, map_index
