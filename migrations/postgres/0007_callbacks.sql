-- Callbacks: what is to be done besides, for an event of a task instance or a run.

-- One row for each event that has callbacks, made in the transaction of the move.
create table callback (
    id bigint generated always as identity primary key,
    dag_run_id bigint not null,
    -- Null: the event is the run's.
    task_instance_id bigint,
    -- model::callback::CallbackEvent.
    event text not null,
    -- Of what it happened: the number of the entry in the history.
    event_no bigint not null,
    try_number bigint not null default 0,
    reason text,
    created_at bigint not null,
    -- `pending`, `running` (its owner carries it out), `delivered`, or `failed` (it was given up).
    state text not null default 'pending',
    due_at bigint not null,
    owner bigint,
    tries bigint not null default 0,
    -- Positions of the notifiers that have been reached, as bits; and what each of them has said, as a JSON list.
    delivered bigint not null default 0,
    results text,
    ended_at bigint
);
create unique index callback_event on callback (dag_run_id, coalesce(task_instance_id, 0), event_no);
create index callback_due on callback (due_at) where state = 'pending';
create index callback_owner on callback (owner) where state = 'running';

-- Only what was under way calls back: not what a person says of a task that has ended, and not what a trigger rule skips.
create function task_instance_calls_back() returns trigger language plpgsql as $$
begin
    insert into callback (dag_run_id, task_instance_id, event, event_no, try_number, reason, created_at, due_at)
    values (new.dag_run_id, new.id, case new.state when 'success' then 'success' when 'failed' then 'failure'
        when 'up_for_retry' then 'retry' else 'skipped' end, new.event_no, new.try_number, new.reason, new.changed_at,
        new.changed_at);
    return null;
end $$;
create trigger task_instance_calls_back after update of state on task_instance for each row
    when (new.callbacks <> 0 and new.state <> old.state
        and old.state in ('queued', 'running', 'deferred', 'up_for_reschedule', 'awaiting_input')
        and new.callbacks & (case new.state when 'success' then 1 when 'failed' then 2 when 'up_for_retry' then 4
            when 'skipped' then 8 else 0 end) <> 0)
    execute function task_instance_calls_back();

create function dag_run_calls_back() returns trigger language plpgsql as $$
begin
    insert into callback (dag_run_id, event, event_no, reason, created_at, due_at)
    select new.id, case new.state when 'success' then 'success' else 'failure' end, new.event_no, new.reason,
        new.changed_at, new.changed_at
    from dag_version v
    where v.id = new.version_id and v.callbacks & (case new.state when 'success' then 1 else 2 end) <> 0;
    return null;
end $$;
create trigger dag_run_calls_back after update of state on dag_run for each row
    when (new.state <> old.state and new.state in ('success', 'failed') and old.state in ('queued', 'running'))
    execute function dag_run_calls_back();
