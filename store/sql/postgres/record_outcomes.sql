-- T5, T6 and T12, fenced by epoch and claim.
update task_instance t set
    state = case x.kind
        when 'success' then 'success'
        when 'skipped' then 'skipped'
        when 'released' then 'scheduled'
        when 'retry' then case when t.try_number <= t.max_tries then 'up_for_retry' else 'failed' end
        else 'failed' end,
    -- A released attempt gives up its right to act, and its try is not charged.
    epoch = t.epoch + case when x.kind = 'released' then 1 else 0 end,
    max_tries = t.max_tries + case when x.kind = 'released' then 1 else 0 end,
    not_before = case when x.kind = 'retry' and t.try_number <= t.max_tries then x.retry_at end,
    ended_at = case when x.kind = 'released' then null else x.ended_at end,
    holder = null, reason = x.reason, changed_at = $2, event_no = t.event_no + 1, actor = 'worker', actor_id = $3
from json_to_recordset($1::json) as x(id bigint, epoch bigint, claim bigint, kind text, reason text, retry_at bigint,
    ended_at bigint)
where t.id = x.id and t.epoch = x.epoch and t.claim_id = x.claim and t.state = 'running'
returning t.id, t.state, t.try_number
