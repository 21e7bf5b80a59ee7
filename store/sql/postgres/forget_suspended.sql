delete from suspended_try
where task_instance_id = any(array(select value::bigint from json_array_elements_text($1::json)))
