-- Tries that wait outside the workers.

-- A try that was suspended without having ended: what it has left so far, for the part that goes on with it or for
-- whoever ends it.
create table suspended_try (
    task_instance_id bigint primary key,
    try_number bigint not null,
    -- The claim of its last part.
    claim_id bigint not null,
    -- What the next part is told, as JSON.
    resume text,
    -- Rendered fields, and what of the log there is.
    rendered text,
    log_next_seq bigint not null,
    log_bytes bigint not null,
    log_lines bigint not null,
    log_bytes_dropped bigint not null,
    suspended_at bigint not null
);

-- What deferred task instances wait for: one row while the state is `deferred`.
create table trigger (
    task_instance_id bigint primary key,
    -- The task instance's epoch while it waits.
    epoch bigint not null,
    kind text not null,
    -- model::Deferral as JSON.
    args text not null,
    -- Fires by itself at `due_at`; nobody has to look.
    is_timer boolean not null,
    -- When it fires, or when it is looked at first.
    due_at bigint not null,
    deadline_at bigint,
    created_at bigint not null,
    -- The triggerer that carries it.
    owner bigint,
    -- What the looks at it have found so far, for people.
    checks bigint not null default 0,
    checked_at bigint,
    next_check_at bigint,
    note text
);
create index trigger_free on trigger (is_timer, due_at) where owner is null;
create index trigger_owner on trigger (owner) where owner is not null;
create index trigger_deadline on trigger (deadline_at) where deadline_at is not null;

-- However a task instance stops waiting, what waited for it goes in the same transaction.
create trigger task_instance_waits_no_longer after update of state on task_instance
when old.state in ('deferred', 'up_for_reschedule', 'awaiting_input') and new.state <> old.state
begin
    delete from trigger where task_instance_id = new.id;
    delete from suspended_try where task_instance_id = new.id and new.state <> 'scheduled';
end;

create trigger task_instance_begins_anew after update of state on task_instance
when new.state = 'none' and old.state <> 'none'
begin
    delete from suspended_try where task_instance_id = new.id;
end;
