update dag_run set state = 'running', started_at = coalesce(started_at, $2), changed_at = $2,
    event_no = event_no + 1, actor = 'scheduler', actor_id = $3, reason = null
where id in (select value::bigint from json_array_elements_text($1::json)) and state = 'queued'
returning id, version_id, started_at = $2
