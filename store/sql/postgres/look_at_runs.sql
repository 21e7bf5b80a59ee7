-- A change of nothing: it makes the next tick look at the runs.
insert into run_change (dag_run_id, task_instance_id, task_index, from_state, to_state)
select value::bigint, 0, -1, 'none', 'none' from json_array_elements_text($1::json)
