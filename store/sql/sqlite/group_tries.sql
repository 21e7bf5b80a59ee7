select dag_run_id, group_id, map_index, tries from group_try
where dag_run_id in (select value from json_each($1))
