update dag set next_tick = x.next_tick, check_at = x.check_at,
    has_scheduled_run = has_scheduled_run or x.created
from json_to_recordset($1::json) as x(dag text, next_tick bigint, check_at bigint, created boolean)
where dag.dag_id = x.dag
