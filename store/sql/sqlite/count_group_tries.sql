insert into group_try (dag_run_id, group_id, map_index, tries)
select x.value ->> 'run', x.value ->> 'group_id', x.value ->> 'map_index', 1 from json_each($1) x
where true
on conflict (dag_run_id, group_id, map_index) do update set tries = tries + 1
