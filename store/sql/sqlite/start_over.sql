-- The scheduler lets tasks run again: a group or a run that has retries left.
update task_instance set state = 'none', epoch = epoch + 1, claim_id = null, holder = null, not_before = $4,
    waits_for_past = false, goes_on = false, skips = null, must_expand = must_expand or (x.value ->> 'map' is null and map_index >= 0),
    max_tries = try_number + (x.value ->> 'retries'), lost_count = 0, started_at = null, ended_at = null,
    reason = $5, changed_at = $2, event_no = event_no + 1, actor = 'scheduler', actor_id = $3
from json_each($6) x
where dag_run_id = $1 and task_index = x.value ->> 'index'
  and map_index between coalesce(x.value ->> 'map', -1) and coalesce(x.value ->> 'map', 9223372036854775807)
  and state not in ('none', 'removed')
returning id
