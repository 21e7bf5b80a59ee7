-- Changes of nothing: they make the next tick look at the tasks.
insert into run_change (dag_run_id, task_instance_id, task_index, map_index, from_state, to_state)
select $1, id, task_index, map_index, 'none', 'none' from task_instance
where dag_run_id = $1 and task_index in (select value from json_each($2))
