-- Legal moves, and the history that no code path can skip.
insert into legal_move (from_state, to_state, actor) values
    ('awaiting_input', 'failed', 'scheduler'),
    ('awaiting_input', 'failed', 'user'),
    ('awaiting_input', 'none', 'scheduler'),
    ('awaiting_input', 'none', 'user'),
    ('awaiting_input', 'scheduled', 'user'),
    ('awaiting_input', 'skipped', 'scheduler'),
    ('awaiting_input', 'skipped', 'user'),
    ('awaiting_input', 'success', 'scheduler'),
    ('awaiting_input', 'success', 'user'),
    ('deferred', 'failed', 'scheduler'),
    ('deferred', 'failed', 'triggerer'),
    ('deferred', 'failed', 'user'),
    ('deferred', 'none', 'scheduler'),
    ('deferred', 'none', 'user'),
    ('deferred', 'scheduled', 'scheduler'),
    ('deferred', 'scheduled', 'triggerer'),
    ('deferred', 'skipped', 'scheduler'),
    ('deferred', 'skipped', 'triggerer'),
    ('deferred', 'skipped', 'user'),
    ('deferred', 'success', 'triggerer'),
    ('deferred', 'success', 'user'),
    ('deferred', 'up_for_retry', 'scheduler'),
    ('deferred', 'up_for_retry', 'triggerer'),
    ('failed', 'none', 'scheduler'),
    ('failed', 'none', 'user'),
    ('failed', 'skipped', 'user'),
    ('failed', 'success', 'user'),
    ('none', 'failed', 'scheduler'),
    ('none', 'failed', 'user'),
    ('none', 'removed', 'scheduler'),
    ('none', 'scheduled', 'scheduler'),
    ('none', 'skipped', 'scheduler'),
    ('none', 'skipped', 'user'),
    ('none', 'success', 'user'),
    ('none', 'upstream_failed', 'scheduler'),
    ('queued', 'failed', 'user'),
    ('queued', 'none', 'scheduler'),
    ('queued', 'none', 'user'),
    ('queued', 'running', 'worker'),
    ('queued', 'skipped', 'scheduler'),
    ('queued', 'skipped', 'user'),
    ('queued', 'success', 'user'),
    ('removed', 'none', 'scheduler'),
    ('restarting', 'failed', 'user'),
    ('restarting', 'none', 'scheduler'),
    ('restarting', 'none', 'user'),
    ('restarting', 'skipped', 'scheduler'),
    ('restarting', 'skipped', 'user'),
    ('restarting', 'success', 'user'),
    ('running', 'awaiting_input', 'worker'),
    ('running', 'deferred', 'worker'),
    ('running', 'failed', 'scheduler'),
    ('running', 'failed', 'user'),
    ('running', 'failed', 'worker'),
    ('running', 'none', 'scheduler'),
    ('running', 'none', 'user'),
    ('running', 'scheduled', 'scheduler'),
    ('running', 'scheduled', 'worker'),
    ('running', 'skipped', 'scheduler'),
    ('running', 'skipped', 'user'),
    ('running', 'skipped', 'worker'),
    ('running', 'success', 'user'),
    ('running', 'success', 'worker'),
    ('running', 'up_for_reschedule', 'worker'),
    ('running', 'up_for_retry', 'worker'),
    ('scheduled', 'failed', 'user'),
    ('scheduled', 'none', 'scheduler'),
    ('scheduled', 'none', 'user'),
    ('scheduled', 'queued', 'scheduler'),
    ('scheduled', 'skipped', 'scheduler'),
    ('scheduled', 'skipped', 'user'),
    ('scheduled', 'success', 'user'),
    ('skipped', 'failed', 'user'),
    ('skipped', 'none', 'scheduler'),
    ('skipped', 'none', 'user'),
    ('skipped', 'success', 'user'),
    ('success', 'failed', 'user'),
    ('success', 'none', 'scheduler'),
    ('success', 'none', 'user'),
    ('success', 'skipped', 'user'),
    ('up_for_reschedule', 'failed', 'user'),
    ('up_for_reschedule', 'none', 'scheduler'),
    ('up_for_reschedule', 'none', 'user'),
    ('up_for_reschedule', 'scheduled', 'scheduler'),
    ('up_for_reschedule', 'skipped', 'scheduler'),
    ('up_for_reschedule', 'skipped', 'user'),
    ('up_for_reschedule', 'success', 'user'),
    ('up_for_retry', 'failed', 'user'),
    ('up_for_retry', 'none', 'scheduler'),
    ('up_for_retry', 'none', 'user'),
    ('up_for_retry', 'scheduled', 'scheduler'),
    ('up_for_retry', 'skipped', 'scheduler'),
    ('up_for_retry', 'skipped', 'user'),
    ('up_for_retry', 'success', 'user'),
    ('upstream_failed', 'failed', 'user'),
    ('upstream_failed', 'none', 'scheduler'),
    ('upstream_failed', 'none', 'user'),
    ('upstream_failed', 'skipped', 'user'),
    ('upstream_failed', 'success', 'user');

-- Statement-level triggers with transition tables: one pass per statement, however many rows it changes.
create function task_instance_created() returns trigger language plpgsql as $$
begin
    insert into task_instance_event (task_instance_id, event_no, dag_run_id, from_state, to_state, epoch, claim_id,
        try_number, actor, actor_id, reason, at)
    select id, event_no, dag_run_id, null, state, epoch, claim_id, try_number, actor, actor_id, reason, changed_at
    from new_rows;
    return null;
end $$;

create trigger task_instance_created after insert on task_instance
    referencing new table as new_rows for each statement execute function task_instance_created();

-- The planner knows nothing about transition tables, and keeps a plan made for few rows: comparing each old row with each
-- new one would take minutes for a wide DAG. So they are always joined by hashing.
create function task_instance_moved() returns trigger language plpgsql
    set enable_nestloop = off set enable_hashjoin = on as $$
declare
    offender record;
begin
    select o.id, o.state as from_state, n.state as to_state, n.actor, o.event_no as old_no, n.event_no as new_no
    into offender
    from new_rows n join old_rows o on o.id = n.id
    where n.epoch < o.epoch
       or (n.state = o.state and n.event_no <> o.event_no)
       or (n.state <> o.state and (n.event_no <> o.event_no + 1 or not exists (
          select 1 from legal_move m where m.from_state = o.state and m.to_state = n.state and m.actor = n.actor)))
    limit 1;
    if found then
        raise exception 'illegal move of task instance %: % -> % by % (event % -> %)',
            offender.id, offender.from_state, offender.to_state, offender.actor, offender.old_no, offender.new_no;
    end if;
    insert into task_instance_event (task_instance_id, event_no, dag_run_id, from_state, to_state, epoch, claim_id,
        try_number, actor, actor_id, reason, at)
    select n.id, n.event_no, n.dag_run_id, o.state, n.state, n.epoch, n.claim_id, n.try_number, n.actor, n.actor_id,
        n.reason, n.changed_at
    from new_rows n join old_rows o on o.id = n.id
    where n.state <> o.state;
    insert into run_change (dag_run_id, task_instance_id, task_index, map_index, from_state, to_state)
    select n.dag_run_id, n.id, n.task_index, n.map_index, o.state, n.state
    from new_rows n join old_rows o on o.id = n.id
    where n.state <> o.state
      and (n.state = 'none'
        or o.state in ('success', 'failed', 'skipped', 'upstream_failed', 'removed')
        or n.state in ('success', 'failed', 'skipped', 'upstream_failed', 'removed'));
    return null;
end $$;

create trigger task_instance_moved after update on task_instance
    referencing old table as old_rows new table as new_rows for each statement execute function task_instance_moved();

create function dag_run_created() returns trigger language plpgsql as $$
begin
    insert into dag_run_event (dag_run_id, event_no, from_state, to_state, actor, actor_id, reason, at)
    select id, event_no, null, state, actor, actor_id, reason, changed_at from new_rows;
    return null;
end $$;

create trigger dag_run_created after insert on dag_run
    referencing new table as new_rows for each statement execute function dag_run_created();

create function dag_run_moved() returns trigger language plpgsql
    set enable_nestloop = off set enable_hashjoin = on as $$
begin
    if exists (select 1 from new_rows n join old_rows o on o.id = n.id
               where n.event_no <> o.event_no + (n.state <> o.state)::int) then
        raise exception 'a DAG run must count an event with each change of its state, and only then';
    end if;
    insert into dag_run_event (dag_run_id, event_no, from_state, to_state, actor, actor_id, reason, at)
    select n.id, n.event_no, o.state, n.state, n.actor, n.actor_id, n.reason, n.changed_at
    from new_rows n join old_rows o on o.id = n.id
    where n.state <> o.state;
    return null;
end $$;

create trigger dag_run_moved after update on dag_run
    referencing old table as old_rows new table as new_rows for each statement execute function dag_run_moved();

-- History is append-only: nobody rewrites it.
create function history_is_append_only() returns trigger language plpgsql as $$
begin
    raise exception 'the history is append-only';
end $$;
create trigger task_instance_event_append_only before update on task_instance_event
    for each statement execute function history_is_append_only();
create trigger dag_run_event_append_only before update on dag_run_event
    for each statement execute function history_is_append_only();
