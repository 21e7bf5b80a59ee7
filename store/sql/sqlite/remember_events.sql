insert into start_event (dag_id, source, event_id, at)
select $1, $2, x.value, $4
from json_each($3) x
where true
on conflict (dag_id, source, event_id) do nothing
