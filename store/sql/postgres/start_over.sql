-- The scheduler lets tasks run again: a group or a run that has retries left.
update task_instance set state = 'none', epoch = epoch + 1, claim_id = null, holder = null, not_before = $4,
    waits_for_past = false, goes_on = false, skips = null, must_expand = must_expand or (x.map is null and map_index >= 0),
    max_tries = try_number + x.retries, lost_count = 0, started_at = null, ended_at = null,
    reason = $5, changed_at = $2, event_no = event_no + 1, actor = 'scheduler', actor_id = $3
from json_to_recordset($6::json) as x("index" bigint, retries bigint, map bigint)
where dag_run_id = $1 and task_index = x.index
  and map_index between coalesce(x.map, -1) and coalesce(x.map, 9223372036854775807)
  and state not in ('none', 'removed')
returning id
