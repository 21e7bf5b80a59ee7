update task_instance set upstream_total = upstream_total + (x.value ->> 'by')
from json_each($2) x
where dag_run_id = $1 and task_index = x.value ->> 'index'
