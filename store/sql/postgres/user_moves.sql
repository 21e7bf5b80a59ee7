-- T13.
update task_instance t set
    state = x.to_state, epoch = t.epoch + 1, claim_id = null, holder = null, not_before = null, waits_for_past = false,
    goes_on = false, skips = null,
    must_expand = t.must_expand or (x.to_state = 'none' and t.map_index >= 0),
    max_tries = case when x.to_state = 'none' then t.try_number + x.retries else t.max_tries end,
    lost_count = case when x.to_state = 'none' then 0 else t.lost_count end,
    started_at = case when x.to_state = 'none' then null else t.started_at end,
    ended_at = case when x.to_state = 'none' then null else $2::bigint end,
    reason = x.reason, changed_at = $2, event_no = t.event_no + 1, actor = 'user', actor_id = $3
from json_to_recordset($1::json) as x(id bigint, to_state text, reason text, retries bigint)
where t.id = x.id
