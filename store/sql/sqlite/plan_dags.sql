update dag set next_tick = x.value ->> 'next_tick', check_at = x.value ->> 'check_at',
    has_scheduled_run = has_scheduled_run or x.value ->> 'created'
from json_each($1) x
where dag.dag_id = x.value ->> 'dag'
