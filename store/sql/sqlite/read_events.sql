select e.task_instance_id, e.event_no, t.task_id, t.map_index, e.to_state, e.try_number, e.at, e.reason
from json_each($1) x
join task_instance_event e on e.task_instance_id = x.value ->> 'id' and e.event_no > x.value ->> 'event_no'
join task_instance t on t.id = x.value ->> 'id'
order by e.id
