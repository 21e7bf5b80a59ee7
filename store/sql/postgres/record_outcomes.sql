-- T5, T6, T7 and T12, by primary key, fenced by epoch and claim.
-- `= any` and `|| ''` keep the planner with the primary key: the partial index of that state, or any other while the
-- table is still small, leads through everything in it.
update task_instance t set
    state = case x.kind
        when 'success' then 'success'
        when 'skipped' then 'skipped'
        when 'released' then 'scheduled'
        when 'lost' then case when t.lost_count >= $4 then 'failed' else 'scheduled' end
        when 'retry' then case when t.try_number <= t.max_tries then 'up_for_retry' else 'failed' end
        when 'deferred' then 'deferred'
        when 'rescheduled' then 'up_for_reschedule'
        when 'awaiting_input' then 'awaiting_input'
        else 'failed' end,
    -- A released, lost or suspended attempt gives up its right to act; losses have a budget of their own.
    epoch = t.epoch + case when x.kind = 'released' or x.goes_on or (x.kind = 'lost' and t.lost_count < $4) then 1 else 0 end,
    max_tries = t.max_tries + case when x.kind in ('released', 'lost') then 1 else 0 end,
    lost_count = t.lost_count + case when x.kind = 'lost' then 1 else 0 end,
    not_before = case
        when x.kind = 'retry' and t.try_number <= t.max_tries then x.retry_at
        when x.kind = 'rescheduled' then x.retry_at
        when x.kind = 'lost' and t.lost_count < $4 then $2 + 1000000 * (1 << t.lost_count::int) end,
    ended_at = case when x.kind = 'released' or x.goes_on or (x.kind = 'lost' and t.lost_count < $4) then null
        else x.ended_at end,
    goes_on = x.goes_on,
    map_label = coalesce(x.map_label, t.map_label),
    skips = case when x.kind = 'success' then x.skips end,
    holder = null, reason = x.reason, changed_at = $2, event_no = t.event_no + 1, actor = 'worker', actor_id = $3
from json_to_recordset($1::json) as x(id bigint, epoch bigint, claim bigint, kind text, goes_on boolean, reason text,
    retry_at bigint, ended_at bigint, skips text, map_label text)
where t.id = any(array(select (value ->> 'id')::bigint from json_array_elements($1::json)))
  and t.id = x.id and t.epoch = x.epoch and t.claim_id = x.claim and t.state || '' = 'running'
returning t.id, t.state, t.try_number, t.epoch
