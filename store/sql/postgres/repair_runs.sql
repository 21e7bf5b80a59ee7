-- Running runs with nothing to be taken in, whose counts are not what they count: the counts are put right.
update dag_run set
    unfinished = (
        select count(*) from task_instance t
        where t.dag_run_id = dag_run.id
          and t.state not in ('success', 'failed', 'skipped', 'upstream_failed', 'removed')),
    failed_leaves = (
        select count(*) from task_instance t
        where t.dag_run_id = dag_run.id and t.is_leaf and t.state in ('failed', 'upstream_failed'))
where state = 'running' and changed_at < $1 - 60000000
  and not exists (select 1 from run_change c where c.dag_run_id = dag_run.id)
  and (unfinished <> (
        select count(*) from task_instance t
        where t.dag_run_id = dag_run.id
          and t.state not in ('success', 'failed', 'skipped', 'upstream_failed', 'removed'))
    or failed_leaves <> (
        select count(*) from task_instance t
        where t.dag_run_id = dag_run.id and t.is_leaf and t.state in ('failed', 'upstream_failed')))
returning id
