-- What dead workers were carrying out is done by others, unless that was the last try: a callback that takes its worker down every
-- time must not take the fleet down.
update callback set owner = null, state = case when tries >= $2 then 'failed' else 'pending' end,
    ended_at = case when tries >= $2 then $3::bigint end
where state = 'running' and owner = any(array(select value::bigint from json_array_elements_text($1::json)))
