-- T14 for the runs that have a new state.
update dag_run set unfinished = x.value ->> 'unfinished', failed_leaves = x.value ->> 'failed_leaves',
    state = coalesce(x.value ->> 'state', state),
    ended_at = case when x.value ->> 'state' is null then ended_at else $2 end,
    changed_at = case when x.value ->> 'state' is null then changed_at else $2 end,
    event_no = case when x.value ->> 'state' is null then event_no else event_no + 1 end,
    actor = case when x.value ->> 'state' is null then actor else 'scheduler' end,
    actor_id = case when x.value ->> 'state' is null then actor_id else $3 end
from json_each($1) x
where dag_run.id = x.value ->> 'run'
