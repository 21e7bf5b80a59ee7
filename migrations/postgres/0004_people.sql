-- What people look at and answer: files that tries have left, and questions that wait for somebody.

-- Files that tries have left; they are seen once the try has ended. The content is in pieces.
create table artifact (
    id bigint generated always as identity primary key,
    task_instance_id bigint not null,
    try_number bigint not null,
    -- A relative path with `/` between its parts.
    name text not null,
    size bigint not null,
    sha256 text not null,
    created_at bigint not null,
    unique (task_instance_id, try_number, name)
);

create table artifact_piece (
    artifact_id bigint not null,
    seq bigint not null,
    content bytea not null,
    primary key (artifact_id, seq)
);

-- Questions that a task asks people; the newest of a task instance is the one that counts.
create table human_task (
    id bigint generated always as identity primary key,
    task_instance_id bigint not null,
    -- The task instance's epoch while it waits.
    epoch bigint not null,
    dag_run_id bigint not null,
    try_number bigint not null,
    -- model::question::Question as JSON, and what lists show of it.
    question text not null,
    subject text not null,
    created_at bigint not null,
    -- When the scheduler ends the waiting.
    deadline_at bigint,
    -- The answer; null while it is open, and for ever where the waiting ended without one.
    chosen_options text,
    params_input text,
    responded_by text,
    responded_at bigint,
    closed_at bigint
);
create unique index human_task_open on human_task (task_instance_id) where closed_at is null;
create index human_task_deadline on human_task (deadline_at) where closed_at is null and deadline_at is not null;
create index human_task_instance on human_task (task_instance_id, id);

-- However a task instance stops waiting, its question is closed in the same transaction.
create function task_instance_asks_no_longer() returns trigger language plpgsql as $$
begin
    update human_task set closed_at = new.changed_at where task_instance_id = new.id and closed_at is null;
    return null;
end $$;
create trigger task_instance_asks_no_longer after update of state on task_instance for each row
    when (old.state = 'awaiting_input' and new.state <> old.state)
    execute function task_instance_asks_no_longer();
