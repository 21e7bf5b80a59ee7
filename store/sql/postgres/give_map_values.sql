update task_instance t set map_index = x.map_index, map_value = x.map_value, must_expand = false
from json_to_recordset($1::json) as x(id bigint, map_index bigint, map_value text)
where t.id = any(array(select (value ->> 'id')::bigint from json_array_elements($1::json))) and t.id = x.id
