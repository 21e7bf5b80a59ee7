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

create trigger task_instance_created after insert on task_instance
begin
    insert into task_instance_event (task_instance_id, event_no, dag_run_id, from_state, to_state, epoch, claim_id,
        try_number, actor, actor_id, reason, at)
    values (new.id, new.event_no, new.dag_run_id, null, new.state, new.epoch, new.claim_id, new.try_number, new.actor,
        new.actor_id, new.reason, new.changed_at);
end;

create trigger task_instance_moved after update of state on task_instance
when old.state <> new.state
begin
    select raise(abort, 'illegal move of a task instance')
    where new.epoch < old.epoch or new.event_no <> old.event_no + 1 or not exists (
        select 1 from legal_move m
        where m.from_state = old.state and m.to_state = new.state and m.actor = new.actor);
    insert into task_instance_event (task_instance_id, event_no, dag_run_id, from_state, to_state, epoch, claim_id,
        try_number, actor, actor_id, reason, at)
    values (new.id, new.event_no, new.dag_run_id, old.state, new.state, new.epoch, new.claim_id, new.try_number,
        new.actor, new.actor_id, new.reason, new.changed_at);
    insert into run_change (dag_run_id, task_instance_id, task_index, map_index, from_state, to_state)
    select new.dag_run_id, new.id, new.task_index, new.map_index, old.state, new.state
    where new.state = 'none'
       or old.state in ('success', 'failed', 'skipped', 'upstream_failed', 'removed')
       or new.state in ('success', 'failed', 'skipped', 'upstream_failed', 'removed');
end;

create trigger task_instance_epoch before update of epoch on task_instance
when new.epoch < old.epoch
begin
    select raise(abort, 'the epoch of a task instance never falls');
end;

create trigger task_instance_event_no before update of event_no on task_instance
when old.state = new.state and old.event_no <> new.event_no
begin
    select raise(abort, 'a task instance counts an event only with a change of its state');
end;

create trigger dag_run_created after insert on dag_run
begin
    insert into dag_run_event (dag_run_id, event_no, from_state, to_state, actor, actor_id, reason, at)
    values (new.id, new.event_no, null, new.state, new.actor, new.actor_id, new.reason, new.changed_at);
end;

create trigger dag_run_event_no before update of state, event_no on dag_run
when new.event_no <> old.event_no + (old.state <> new.state)
begin
    select raise(abort, 'a DAG run must count an event with each change of its state, and only then');
end;

create trigger dag_run_moved after update of state on dag_run
when old.state <> new.state
begin
    insert into dag_run_event (dag_run_id, event_no, from_state, to_state, actor, actor_id, reason, at)
    values (new.id, new.event_no, old.state, new.state, new.actor, new.actor_id, new.reason,
        new.changed_at);
end;

-- History is append-only: nobody rewrites it.
create trigger task_instance_event_append_only before update on task_instance_event
begin
    select raise(abort, 'the history is append-only');
end;
create trigger dag_run_event_append_only before update on dag_run_event
begin
    select raise(abort, 'the history is append-only');
end;
