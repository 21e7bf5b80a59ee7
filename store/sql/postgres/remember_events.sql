insert into start_event (dag_id, source, event_id, at)
select $1, $2, x.event_id, $4
from json_array_elements_text($3::json) as x(event_id)
on conflict (dag_id, source, event_id) do nothing
