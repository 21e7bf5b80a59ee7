-- T3. The process must be live: one that was declared dead, or drains, gets nothing. A suspended try goes on under its
-- number.
update task_instance set state = 'running', claim_id = x.value ->> 'claim', holder = $3, try_number = try_number + case when goes_on then 0 else 1 end,
    started_at = case when goes_on then started_at else $2 end, goes_on = false, ended_at = null, changed_at = $2, event_no = event_no + 1, actor = 'worker', actor_id = $4,
    reason = null
from json_each($1) x
where task_instance.id = x.value ->> 'task_instance' and epoch = x.value ->> 'epoch' and state = 'queued'
  and exists (select 1 from process p where p.id = $3 and p.state = 'live')
