select c.dag_run_id, c.task_id, c.map_index, c.key, c.value
from json_each($1) x
join xcom c on c.dag_run_id = x.value ->> 'run' and c.task_id = x.value ->> 'task' and c.key = x.value ->> 'key'
order by c.map_index
