-- T14 for the runs that have a new state.
update dag_run r set unfinished = x.unfinished, failed_leaves = x.failed_leaves,
    state = coalesce(x.state, r.state),
    ended_at = case when x.state is null then r.ended_at else $2 end,
    changed_at = case when x.state is null then r.changed_at else $2 end,
    event_no = case when x.state is null then r.event_no else r.event_no + 1 end,
    actor = case when x.state is null then r.actor else 'scheduler' end,
    actor_id = case when x.state is null then r.actor_id else $3 end
from json_to_recordset($1::json) as x(run bigint, unfinished bigint, failed_leaves bigint, state text)
where r.id = x.run and r.id = any(array(select run from json_to_recordset($1::json) as y(run bigint)))
