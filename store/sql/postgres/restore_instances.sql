-- T1b: the mapping has become longer again.
update task_instance t set state = 'none', map_value = x.map_value, must_expand = false, not_before = null, ended_at = null,
    reason = 'mapping_grown', changed_at = $2, event_no = t.event_no + 1, actor = 'scheduler', actor_id = $3
from json_to_recordset($1::json) as x(id bigint, map_value text)
where t.id = any(array(select (value ->> 'id')::bigint from json_array_elements($1::json))) and t.id = x.id
  and t.state || '' = 'removed'
