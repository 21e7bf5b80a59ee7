-- T11. A loss has its own budget: it raises max_tries, so that no retry is used up by it.
update task_instance set
    state = case when at_most_once or lost_count >= $5 then 'failed' else 'scheduled' end,
    reason = case when at_most_once then 'outcome_unknown' when lost_count >= $5 then 'poison' else $4 end,
    ended_at = case when at_most_once or lost_count >= $5 then $2::bigint end,
    not_before = case when at_most_once or lost_count >= $5 then null else $2::bigint + 1000000 * (1 << cast(lost_count as int)) end,
    epoch = epoch + 1, lost_count = lost_count + 1, max_tries = max_tries + 1, holder = null, changed_at = $2,
    event_no = event_no + 1, actor = 'scheduler', actor_id = $3
where state = 'running' and holder = any(array(select value::bigint from json_array_elements_text($1::json)))
returning id, state
