select e.event_id
from json_each($3) x
-- In this order, however many events are known.
cross join start_event e on e.dag_id = $1 and e.source = $2 and e.event_id = x.value
