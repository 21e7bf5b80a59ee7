update task_instance set map_index = x.value ->> 'map_index', map_value = x.value ->> 'map_value', must_expand = false
from json_each($1) x
where task_instance.id = x.value ->> 'id'
