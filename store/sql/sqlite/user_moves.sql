-- T13.
update task_instance set
    state = (x.value ->> 'to_state'), epoch = epoch + 1, claim_id = null, holder = null, not_before = null, waits_for_past = false,
    goes_on = false, skips = null,
    must_expand = must_expand or ((x.value ->> 'to_state') = 'none' and map_index >= 0),
    max_tries = case when (x.value ->> 'to_state') = 'none' then try_number + (x.value ->> 'retries') else max_tries end,
    lost_count = case when (x.value ->> 'to_state') = 'none' then 0 else lost_count end,
    started_at = case when (x.value ->> 'to_state') = 'none' then null else started_at end,
    ended_at = case when (x.value ->> 'to_state') = 'none' then null else $2 end,
    reason = (x.value ->> 'reason'), changed_at = $2, event_no = event_no + 1, actor = 'user', actor_id = $3
from json_each($1) x
where task_instance.id = x.value ->> 'id'
