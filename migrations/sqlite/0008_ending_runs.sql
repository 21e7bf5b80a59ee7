-- A run that somebody or its time has ended, and whose teardowns still run: the state that it gets after them.
alter table dag_run add column ends_as text;

-- `on_skipped` is for tasks that have skipped themselves: not for those that are ended with their run, or that a person marks.
drop trigger task_instance_calls_back;
create trigger task_instance_calls_back after update of state on task_instance
when new.callbacks <> 0 and new.state <> old.state
    and old.state in ('queued', 'running', 'deferred', 'up_for_reschedule', 'awaiting_input')
    and new.callbacks & (case new.state when 'success' then 1 when 'failed' then 2 when 'up_for_retry' then 4
        when 'skipped' then 8 else 0 end) <> 0
    and not (new.state = 'skipped' and (coalesce(new.reason, '') = 'dagrun_timeout'
        or new.actor = 'user' and coalesce(new.reason, '') <> 'answered'))
begin
    insert into callback (dag_run_id, task_instance_id, event, event_no, try_number, reason, created_at, due_at)
    values (new.dag_run_id, new.id, case new.state when 'success' then 'success' when 'failed' then 'failure'
        when 'up_for_retry' then 'retry' else 'skipped' end, new.event_no, new.try_number, new.reason, new.changed_at,
        new.changed_at);
end;
