select id, dag_run_id, task_index, map_index, state, epoch, try_number, max_tries, lost_count, event_no
from task_instance
where dag_run_id in (select value from json_each($1))
order by dag_run_id, task_index, map_index
