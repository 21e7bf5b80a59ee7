select e.event_id
from json_array_elements_text($3::json) as x(event_id)
join start_event e on e.dag_id = $1 and e.source = $2 and e.event_id = x.event_id
