update task_instance set waits_for_past = true where id = any(array(select value::bigint from json_array_elements_text($1::json))) and state = 'none' and not waits_for_past
