-- A run that somebody or its time has ended, and whose teardowns still run: the state that it gets after them.
alter table dag_run add column ends_as text;

-- `on_skipped` is for tasks that have skipped themselves: not for those that are ended with their run, or that a person marks.
drop trigger task_instance_calls_back on task_instance;
create trigger task_instance_calls_back after update of state on task_instance for each row
    when (new.callbacks <> 0 and new.state <> old.state
    and old.state in ('queued', 'running', 'deferred', 'up_for_reschedule', 'awaiting_input')
    and new.callbacks & (case new.state when 'success' then 1 when 'failed' then 2 when 'up_for_retry' then 4
        when 'skipped' then 8 else 0 end) <> 0
    and not (new.state = 'skipped' and (coalesce(new.reason, '') = 'dagrun_timeout'
        or new.actor = 'user' and coalesce(new.reason, '') <> 'answered')))
    execute function task_instance_calls_back();
