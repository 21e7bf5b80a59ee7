-- The newest version becomes the DAG's; a changed schedule is planned anew; the scheduler has a look at once.
insert into dag (dag_id, file_path, display_name, description, owner, tags, schedule, schedule_summary, catchup_all, max_active_runs, max_active_tasks, version_id, is_paused,
    is_active, check_at, first_seen_at, changed_at)
select x.dag_id, x.file_path, x.display_name, x.description, x.owner, x.tags, x.schedule, x.schedule_summary, x.catchup_all, x.max_active_runs, x.max_active_tasks,
    v.id, x.is_paused, true, $2, $2, $2
from json_to_recordset($1::json) as x(dag_id text, file_path text, display_name text, description text, owner text, tags text, schedule text, schedule_summary text, catchup_all boolean, max_active_runs bigint, max_active_tasks bigint,
    hash text, is_paused boolean)
join dag_version v on v.dag_id = x.dag_id and v.hash = x.hash
on conflict (dag_id) do update set
    file_path = excluded.file_path,
    display_name = excluded.display_name,
    description = excluded.description,
    owner = excluded.owner,
    tags = excluded.tags,
    schedule = excluded.schedule,
    schedule_summary = excluded.schedule_summary,
    catchup_all = excluded.catchup_all,
    max_active_runs = excluded.max_active_runs,
    max_active_tasks = excluded.max_active_tasks,
    version_id = excluded.version_id,
    next_tick = case when dag.schedule = excluded.schedule and dag.is_active then dag.next_tick end,
    changed_at = case when dag.version_id = excluded.version_id then dag.changed_at else excluded.changed_at end,
    is_active = true,
    check_at = excluded.check_at
