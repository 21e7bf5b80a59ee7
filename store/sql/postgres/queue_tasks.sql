-- T2, by primary key.
-- `|| ''` keeps the planner with the primary key: the partial index of that state leads through everything in it.
update task_instance set state = 'queued', epoch = epoch + 1, claim_id = null, queued_at = $2, changed_at = $2,
    not_before = null, event_no = event_no + 1, actor = 'scheduler', actor_id = $3, reason = null
where id = any(array(select value::bigint from json_array_elements_text($1::json))) and state || '' = 'scheduled'
returning id, epoch, queue
