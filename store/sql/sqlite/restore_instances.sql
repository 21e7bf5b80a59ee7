-- T1b: the mapping has become longer again.
update task_instance set state = 'none', map_value = x.value ->> 'map_value', must_expand = false, not_before = null, ended_at = null,
    reason = 'mapping_grown', changed_at = $2, event_no = event_no + 1, actor = 'scheduler', actor_id = $3
from json_each($1) x
where task_instance.id = x.value ->> 'id' and state = 'removed'
