update dag_run set state = 'running', started_at = coalesce(started_at, $2), changed_at = $2,
    event_no = event_no + 1, actor = 'scheduler', actor_id = $3, reason = case when ends_as is null then null else reason end
where id in (select value from json_each($1)) and state = 'queued'
returning id, version_id, not exists (select 1 from task_instance t where t.dag_run_id = dag_run.id)
