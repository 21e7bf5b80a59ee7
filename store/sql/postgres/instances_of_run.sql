-- Locked, so that what is decided about them cannot race with the report of a worker.
select id, task_id, task_index, map_index, state from task_instance
where dag_run_id = $1
order by task_index, map_index
for update
