-- T5, T6, T7 and T12, fenced by epoch and claim.
update task_instance set
    state = case (x.value ->> 'kind')
        when 'success' then 'success'
        when 'skipped' then 'skipped'
        when 'released' then 'scheduled'
        when 'lost' then case when lost_count >= $4 then 'failed' else 'scheduled' end
        when 'retry' then case when try_number <= max_tries then 'up_for_retry' else 'failed' end
        when 'deferred' then 'deferred'
        when 'rescheduled' then 'up_for_reschedule'
        when 'awaiting_input' then 'awaiting_input'
        else 'failed' end,
    -- A released, lost or suspended attempt gives up its right to act; losses have a budget of their own.
    epoch = epoch + case when (x.value ->> 'kind') = 'released' or (x.value ->> 'goes_on')
        or ((x.value ->> 'kind') = 'lost' and lost_count < $4) then 1 else 0 end,
    max_tries = max_tries + case when (x.value ->> 'kind') in ('released', 'lost') then 1 else 0 end,
    lost_count = lost_count + case when (x.value ->> 'kind') = 'lost' then 1 else 0 end,
    not_before = case
        when (x.value ->> 'kind') = 'retry' and try_number <= max_tries then (x.value ->> 'retry_at')
        when (x.value ->> 'kind') = 'rescheduled' then (x.value ->> 'retry_at')
        when (x.value ->> 'kind') = 'lost' and lost_count < $4 then $2 + 1000000 * (1 << cast(lost_count as int)) end,
    ended_at = case when (x.value ->> 'kind') = 'released' or (x.value ->> 'goes_on')
        or ((x.value ->> 'kind') = 'lost' and lost_count < $4) then null
        else (x.value ->> 'ended_at') end,
    goes_on = (x.value ->> 'goes_on'),
    map_label = coalesce(x.value ->> 'map_label', map_label),
    skips = case when (x.value ->> 'kind') = 'success' then (x.value ->> 'skips') end,
    holder = null, reason = (x.value ->> 'reason'), changed_at = $2, event_no = event_no + 1, actor = 'worker', actor_id = $3
from json_each($1) x
where task_instance.id = x.value ->> 'id' and epoch = x.value ->> 'epoch' and claim_id = x.value ->> 'claim' and state = 'running'
returning id, state, try_number, epoch
