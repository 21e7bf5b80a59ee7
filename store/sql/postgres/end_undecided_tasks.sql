-- T1.
update task_instance set state = $4, reason = $5, ended_at = $2, changed_at = $2, event_no = event_no + 1,
    waits_for_past = false, actor = 'scheduler', actor_id = $3
where id = any(array(select value::bigint from json_array_elements_text($1::json))) and state = 'none'
