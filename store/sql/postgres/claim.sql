-- T3, by primary key. The process must be live: one that was declared dead, or drains, gets nothing. A suspended try goes
-- on under its number.
-- `= any` and `|| ''` keep the planner with the primary key: the partial index of that state, or any other while the
-- table is still small, leads through everything in it.
update task_instance t set state = 'running', claim_id = x.claim, holder = $3, try_number = t.try_number + case when t.goes_on then 0 else 1 end,
    started_at = case when t.goes_on then t.started_at else $2 end, goes_on = false, ended_at = null, changed_at = $2, event_no = t.event_no + 1, actor = 'worker', actor_id = $4,
    reason = null
from json_to_recordset($1::json) as x(task_instance bigint, epoch bigint, claim bigint)
where t.id = any(array(select (value ->> 'task_instance')::bigint from json_array_elements($1::json)))
  and t.id = x.task_instance and t.epoch = x.epoch and t.state || '' = 'queued'
  and exists (select 1 from process p where p.id = $3 and p.state = 'live')
