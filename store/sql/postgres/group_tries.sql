select dag_run_id, group_id, map_index, tries from group_try
where dag_run_id = any(array(select value::bigint from json_array_elements_text($1::json)))
