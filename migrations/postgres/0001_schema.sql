-- The first schema. Instants are bigint microseconds since 1970-01-01T00:00:00Z, on both databases.

-- What DAG files say, and when the scheduler must look at each DAG next.
create table dag (
    dag_id text primary key,
    version_id bigint,
    file_path text not null,
    display_name text,
    description text,
    owner text not null,
    tags text not null,
    schedule text not null,
    schedule_summary text not null,
    catchup_all boolean not null default false,
    max_active_runs bigint not null,
    max_active_tasks bigint not null,
    is_paused boolean not null,
    -- False once the file is gone: nothing new is scheduled, what runs goes on.
    is_active boolean not null default true,
    -- The next tick of the schedule; null where none is planned.
    next_tick bigint,
    -- When the scheduler must look at this DAG: a tick, a queued run, an ended run. Null: nothing to look at.
    check_at bigint,
    -- Whether the schedule has ever created a run.
    has_scheduled_run boolean not null default false,
    first_seen_at bigint not null,
    changed_at bigint not null
);
create index dag_check_at on dag (check_at) where check_at is not null and not is_paused;

-- Published versions: immutable, found by content hash; runs are pinned to one.
create table dag_version (
    id bigint generated always as identity primary key,
    dag_id text not null,
    number bigint not null,
    hash text not null,
    definition text not null,
    source text not null,
    -- Which ends of its runs have callbacks: the bits of model::callback::CallbackEvent.
    callbacks bigint not null default 0,
    created_at bigint not null,
    unique (dag_id, hash)
);

-- Files that tasks use, by SHA-256 of their content.
create table dag_file (
    hash text primary key,
    content bytea not null
);

-- Files in the DAG folder that could not be read, with what is wrong.
create table import_error (
    file_path text primary key,
    dag_id text,
    rendered text not null,
    diagnostics text not null,
    seen_at bigint not null
);

create table dag_run (
    id bigint generated always as identity primary key,
    dag_id text not null,
    run_id text not null,
    run_type text not null,
    triggered_by text not null,
    principal text,
    note text,
    version_id bigint not null,
    state text not null,
    logical_date bigint,
    data_interval_start bigint,
    data_interval_end bigint,
    run_after bigint not null,
    conf text not null,
    created_at bigint not null,
    started_at bigint,
    ended_at bigint,
    -- When `dagrun_timeout` ends it.
    deadline_at bigint,
    -- Task instances that are not finished, and leaves that failed: maintained from run_change under the run's row lock.
    unfinished bigint not null default 0,
    failed_leaves bigint not null default 0,
    -- How often it has started again at what had failed.
    retries_used bigint not null default 0,
    event_no bigint not null default 1,
    changed_at bigint not null,
    actor text not null,
    actor_id text,
    reason text,
    unique (dag_id, run_id)
);
create unique index dag_run_tick on dag_run (dag_id, logical_date) where run_type = 'scheduled';
create index dag_run_waiting on dag_run (dag_id, run_after, id) where state = 'queued';
create index dag_run_live on dag_run (dag_id) where state = 'running';
create index dag_run_deadline on dag_run (deadline_at) where state = 'running' and deadline_at is not null;
create index dag_run_recent on dag_run (dag_id, id);
create index dag_run_past on dag_run (dag_id, logical_date, id) where logical_date is not null;

create table task_instance (
    id bigint generated always as identity primary key,
    dag_run_id bigint not null,
    dag_id text not null,
    task_id text not null,
    -- Position of the task in the DAG version that the run is pinned to.
    task_index bigint not null,
    -- -1: not mapped, or not expanded yet.
    map_index bigint not null default -1,
    -- The values of this instance of a mapped task, as a JSON object, and what it is called.
    map_value text,
    map_label text,
    -- Its mapping has to be evaluated before it may run.
    must_expand boolean not null default false,
    state text not null,
    -- The token of section "tokens" in docs/protocol.md: epoch, claim, holder.
    epoch bigint not null default 0,
    claim_id bigint,
    holder bigint,
    try_number bigint not null default 0,
    -- Its try was suspended: the next claim goes on with it instead of being a new one.
    goes_on boolean not null default false,
    max_tries bigint not null,
    lost_count bigint not null default 0,
    at_most_once boolean not null default false,
    pool text not null,
    pool_slots bigint not null,
    queue text not null,
    priority bigint not null,
    -- Not to be run before this instant (retry delay, back-off after a loss, a reschedule).
    not_before bigint,
    -- How many upstream task instances there are, and how they ended.
    upstream_total bigint not null default 0,
    upstream_success bigint not null default 0,
    upstream_failed bigint not null default 0,
    upstream_upstream_failed bigint not null default 0,
    upstream_skipped bigint not null default 0,
    upstream_removed bigint not null default 0,
    is_leaf boolean not null default false,
    -- Its trigger rule holds, but `depends_on_past` still has to be looked at.
    waits_for_past boolean not null default false,
    -- Positions of the tasks that this one left out, as a JSON list (branches and short circuits).
    skips text,
    -- The task's own limits on instances that are queued or running.
    max_per_dag bigint,
    max_per_run bigint,
    -- Which of its events have callbacks: the bits of model::callback::CallbackEvent.
    callbacks bigint not null default 0,
    scheduled_at bigint,
    queued_at bigint,
    started_at bigint,
    ended_at bigint,
    event_no bigint not null default 1,
    changed_at bigint not null,
    actor text not null,
    actor_id text,
    reason text,
    unique (dag_run_id, task_index, map_index)
) with (fillfactor = 70);
create index task_instance_ready on task_instance (dag_id, pool, priority desc, id) where state = 'scheduled';
create index task_instance_queued on task_instance (queue, priority desc, id) where state = 'queued';
create index task_instance_held on task_instance (holder) where state = 'running';
create index task_instance_slots on task_instance (pool, dag_id, pool_slots) where state in ('queued', 'running');
create index task_instance_retry on task_instance (not_before) where state in ('up_for_retry', 'up_for_reschedule');
create index task_instance_deferred on task_instance (pool) where state = 'deferred';
create index task_instance_limited on task_instance (dag_id, task_id, dag_run_id)
    where state in ('queued', 'running') and (max_per_dag is not null or max_per_run is not null);
create index task_instance_delayed on task_instance (not_before) where state = 'scheduled' and not_before is not null;
create index task_instance_past on task_instance (dag_id, task_id) where waits_for_past;
create index task_instance_unfinished on task_instance (dag_run_id)
    where state not in ('success', 'failed', 'skipped', 'upstream_failed', 'removed');

-- One row per ended try.
create table attempt (
    task_instance_id bigint not null,
    try_number bigint not null,
    claim_id bigint not null,
    state text not null,
    exit_code bigint,
    rendered text,
    log_bytes bigint not null,
    log_lines bigint not null,
    log_bytes_dropped bigint not null,
    started_at bigint,
    ended_at bigint not null,
    primary key (task_instance_id, try_number)
);

-- Log text in chunks, as the worker ships them.
create table task_log (
    task_instance_id bigint not null,
    try_number bigint not null,
    seq bigint not null,
    content text not null,
    primary key (task_instance_id, try_number, seq)
);

create table xcom (
    dag_run_id bigint not null,
    task_id text not null,
    map_index bigint not null,
    key text not null,
    value text not null,
    task_instance_id bigint not null,
    epoch bigint not null,
    created_at bigint not null,
    primary key (dag_run_id, task_id, map_index, key)
);

-- Which moves a task instance may make, and who may make them; the same table as `model::moves`.
create table legal_move (
    from_state text not null,
    to_state text not null,
    actor text not null,
    primary key (from_state, to_state, actor)
);

-- The history of every task instance: appended by a trigger, in the transaction of the change itself.
create table task_instance_event (
    id bigint generated always as identity,
    task_instance_id bigint not null,
    event_no bigint not null,
    dag_run_id bigint not null,
    from_state text,
    to_state text not null,
    epoch bigint not null,
    claim_id bigint,
    try_number bigint not null,
    actor text not null,
    actor_id text,
    reason text,
    at bigint not null,
    primary key (task_instance_id, event_no)
);

create table dag_run_event (
    id bigint generated always as identity,
    dag_run_id bigint not null,
    event_no bigint not null,
    from_state text,
    to_state text not null,
    actor text not null,
    actor_id text,
    reason text,
    at bigint not null,
    primary key (dag_run_id, event_no)
);

-- Moves into or out of a finished state, and back to `none`, that the scheduler has not taken into account yet; filled
-- by the same trigger.
create table run_change (
    id bigint generated always as identity primary key,
    dag_run_id bigint not null,
    task_instance_id bigint not null,
    task_index bigint not null,
    map_index bigint not null default -1,
    from_state text not null,
    to_state text not null
);
create index run_change_run on run_change (dag_run_id);

-- How often a task group of a run has started again.
create table group_try (
    dag_run_id bigint not null,
    group_id text not null,
    map_index bigint not null,
    tries bigint not null,
    primary key (dag_run_id, group_id, map_index)
);

-- Queued task instances that the queue has not been told about yet.
create table dispatch_outbox (
    id bigint generated always as identity primary key,
    task_instance_id bigint not null,
    epoch bigint not null,
    queue text not null,
    created_at bigint not null
);

create table process (
    id bigint generated always as identity primary key,
    kind text not null,
    slot text not null,
    host text not null,
    pid bigint not null,
    incarnation bigint not null,
    version text not null,
    state text not null,
    queues text,
    concurrency bigint,
    lease_until bigint not null,
    started_at bigint not null,
    heartbeat_at bigint not null,
    ended_at bigint
);
create unique index process_slot on process (kind, slot) where state <> 'dead';

create table pool (
    name text primary key,
    -- -1 is unlimited.
    slots bigint not null,
    description text,
    include_deferred boolean not null default false
);
insert into pool (name, slots, description) values ('default_pool', 128, 'tasks that name no pool');

create table api_token (
    hash text primary key,
    name text not null,
    created_at bigint not null,
    expires_at bigint,
    last_used_at bigint
);

-- What people and scripts did, besides moves of task instances (those are in their history).
create table audit_log (
    id bigint generated always as identity primary key,
    at bigint not null,
    principal text not null,
    action text not null,
    object text not null,
    detail text
);
