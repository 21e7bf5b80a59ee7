-- Setups, branches and short circuits that touched tasks look at.
select t.dag_run_id, t.task_index, t.map_index, t.state, t.skips
from json_each($1) x
join task_instance t on t.dag_run_id = x.value ->> 'run' and t.task_index = x.value ->> 'index'
