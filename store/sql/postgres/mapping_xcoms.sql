-- `= any` keeps the planner with the primary key.
select c.dag_run_id, c.task_id, c.map_index, c.key, c.value
from json_to_recordset($1::json) as x(run bigint, task text, key text)
join xcom c on c.dag_run_id = x.run and c.task_id = x.task and c.key = x.key
where c.dag_run_id = any(array(select (value ->> 'run')::bigint from json_array_elements($1::json)))
order by c.map_index
