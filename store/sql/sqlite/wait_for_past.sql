update task_instance set waits_for_past = true where id in (select value from json_each($1)) and state = 'none' and not waits_for_past
