-- T8, T9, and the answers that a task waits for. The rows are locked, and were checked under the lock.
update task_instance t set state = x.to_state, epoch = t.epoch + x.epoch_step, not_before = x.not_before,
    ended_at = x.ended_at, scheduled_at = case when x.to_state = 'scheduled' then $2 else t.scheduled_at end,
    goes_on = x.to_state = 'scheduled', reason = x.reason, changed_at = $2, event_no = t.event_no + 1, actor = $3,
    actor_id = $4
from json_to_recordset($1::json) as x(id bigint, from_state text, to_state text, epoch_step bigint, not_before bigint,
    ended_at bigint, reason text)
where t.id = any(array(select (value ->> 'id')::bigint from json_array_elements($1::json)))
  and t.id = x.id and t.state || '' = x.from_state
