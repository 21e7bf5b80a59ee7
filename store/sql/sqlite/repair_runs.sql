-- Running runs with nothing to be taken in, whose count of unfinished task instances is not what it counts: the DAG is
-- looked at again, and the count is put right.
update dag_run set unfinished = (
    select count(*) from task_instance t
    where t.dag_run_id = dag_run.id and t.state not in ('success', 'failed', 'skipped', 'upstream_failed', 'removed'))
where state = 'running' and changed_at < $1 - 60000000
  and not exists (select 1 from run_change c where c.dag_run_id = dag_run.id)
  and unfinished <> (
    select count(*) from task_instance t
    where t.dag_run_id = dag_run.id and t.state not in ('success', 'failed', 'skipped', 'upstream_failed', 'removed'))
