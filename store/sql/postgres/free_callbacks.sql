-- What dead workers were carrying out is done by others.
update callback set state = 'pending', owner = null
where state = 'running' and owner = any(array(select value::bigint from json_array_elements_text($1::json)))
