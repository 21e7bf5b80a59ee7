-- Setups, branches, short circuits and what mappings go over, that touched tasks look at: all instances of a task, or the one with
-- a map index.
select t.dag_run_id, t.task_index, x.value ->> 'map' as map_index, t.state, t.skips,
    t.map_index < 0 and coalesce(t.reason, '') <> 'empty_map' as is_whole, count(*) as instances
from json_each($1) x
join task_instance t on t.dag_run_id = x.value ->> 'run' and t.task_index = x.value ->> 'index'
  and t.map_index between coalesce(x.value ->> 'map', -1) and coalesce(x.value ->> 'map', 9223372036854775807)
group by t.dag_run_id, t.task_index, x.value ->> 'map', t.state, t.skips, is_whole
