update task_instance set state = 'skipped', reason = 'dagrun_timeout', epoch = epoch + 1, claim_id = null, holder = null,
    not_before = null, waits_for_past = false, goes_on = false, ended_at = $2, changed_at = $2, event_no = event_no + 1,
    actor = 'scheduler', actor_id = $3
where dag_run_id = any(array(select value::bigint from json_array_elements_text($1::json)))
  and state not in ('success', 'failed', 'skipped', 'upstream_failed', 'removed')
  and not id = any(array(select value::bigint from json_array_elements_text($4::json)))
