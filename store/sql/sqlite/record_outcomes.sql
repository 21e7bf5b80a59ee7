-- T5, T6 and T12, fenced by epoch and claim.
update task_instance set
    state = case (x.value ->> 'kind')
        when 'success' then 'success'
        when 'skipped' then 'skipped'
        when 'released' then 'scheduled'
        when 'retry' then case when try_number <= max_tries then 'up_for_retry' else 'failed' end
        else 'failed' end,
    -- A released attempt gives up its right to act, and its try is not charged.
    epoch = epoch + case when (x.value ->> 'kind') = 'released' then 1 else 0 end,
    max_tries = max_tries + case when (x.value ->> 'kind') = 'released' then 1 else 0 end,
    not_before = case when (x.value ->> 'kind') = 'retry' and try_number <= max_tries then (x.value ->> 'retry_at') end,
    ended_at = case when (x.value ->> 'kind') = 'released' then null else (x.value ->> 'ended_at') end,
    holder = null, reason = (x.value ->> 'reason'), changed_at = $2, event_no = event_no + 1, actor = 'worker', actor_id = $3
from json_each($1) x
where task_instance.id = x.value ->> 'id' and epoch = x.value ->> 'epoch' and claim_id = x.value ->> 'claim' and state = 'running'
returning id, state, try_number
