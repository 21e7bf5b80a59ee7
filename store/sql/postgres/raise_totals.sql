update task_instance t set upstream_total = t.upstream_total + x.by
from json_to_recordset($2::json) as x("index" bigint, by bigint)
where t.dag_run_id = $1 and t.task_index = x.index
