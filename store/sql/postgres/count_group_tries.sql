insert into group_try (dag_run_id, group_id, map_index, tries)
select x.run, x.group_id, x.map_index, 1 from json_to_recordset($1::json) as x(run bigint, group_id text, map_index bigint)
on conflict (dag_run_id, group_id, map_index) do update set tries = group_try.tries + 1
