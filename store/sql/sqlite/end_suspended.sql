-- T8, T9, and the answers that a task waits for. They were checked in the same transaction.
update task_instance set state = x.value ->> 'to_state', epoch = epoch + (x.value ->> 'epoch_step'),
    not_before = x.value ->> 'not_before', ended_at = x.value ->> 'ended_at',
    scheduled_at = case when x.value ->> 'to_state' = 'scheduled' then $2 else scheduled_at end,
    goes_on = x.value ->> 'to_state' = 'scheduled', reason = x.value ->> 'reason', changed_at = $2,
    event_no = event_no + 1, actor = $3, actor_id = $4
from json_each($1) x
where task_instance.id = x.value ->> 'id' and state = x.value ->> 'from_state'
