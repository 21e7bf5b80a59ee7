-- T1 for the tasks that wait for nothing.
update task_instance set state = 'scheduled', scheduled_at = $3, changed_at = $3, event_no = event_no + 1,
    actor = 'scheduler', actor_id = $4
where dag_run_id = $1 and state = 'none' and map_index = -1
  and task_index = any(array(select value::bigint from json_array_elements_text($2::json)))
