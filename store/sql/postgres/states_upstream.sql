-- Setups, branches, short circuits and what mappings go over, that touched tasks look at: all instances of a task, or the one with
-- a map index.
select t.dag_run_id, t.task_index, x.map as map_index, t.state, t.skips,
    t.map_index < 0 and coalesce(t.reason, '') <> 'empty_map' as is_whole, count(*) as instances
from json_to_recordset($1::json) as x(run bigint, "index" bigint, map bigint)
join task_instance t on t.dag_run_id = x.run and t.task_index = x.index
  and t.map_index between coalesce(x.map, -1) and coalesce(x.map, 9223372036854775807)
group by t.dag_run_id, t.task_index, x.map, t.state, t.skips, 6
