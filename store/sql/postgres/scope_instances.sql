select id, task_index, map_index, state, must_expand from task_instance
where dag_run_id = $1 and task_index = any(array(select value::bigint from json_array_elements_text($2::json)))
order by task_index, map_index
