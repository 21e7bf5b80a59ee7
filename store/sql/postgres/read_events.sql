select e.task_instance_id, e.event_no, t.task_id, t.map_index, e.to_state, e.try_number, e.at, e.reason
from json_to_recordset($1::json) as x(id bigint, event_no bigint)
join task_instance_event e on e.task_instance_id = x.id and e.event_no > x.event_no
join task_instance t on t.id = x.id
order by e.id
