update dag_run set state = 'failed', reason = 'dagrun_timeout', ended_at = $2, changed_at = $2, event_no = event_no + 1,
    actor = 'scheduler', actor_id = $3
where id = any(array(select value::bigint from json_array_elements_text($1::json)))
