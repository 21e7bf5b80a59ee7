-- Setups, branches and short circuits that touched tasks look at.
select t.dag_run_id, t.task_index, t.map_index, t.state, t.skips
from json_to_recordset($1::json) as x(run bigint, "index" bigint)
join task_instance t on t.dag_run_id = x.run and t.task_index = x.index
