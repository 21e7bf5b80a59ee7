-- A run that a person holds is passed over: its DAG is looked at again when that is done. Waiting for it here, with the DAG
-- locked, would be a deadlock.
update dag_run set state = 'running', started_at = coalesce(started_at, $2), changed_at = $2,
    event_no = event_no + 1, actor = 'scheduler', actor_id = $3, reason = case when ends_as is null then null else reason end
where id = any(array(
    select id from dag_run
    where id = any(array(select value::bigint from json_array_elements_text($1::json))) and state = 'queued'
    order by id for update skip locked))
returning id, version_id, not exists (select 1 from task_instance t where t.dag_run_id = dag_run.id)
