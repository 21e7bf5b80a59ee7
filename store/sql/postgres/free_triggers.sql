-- What dead triggerers carried is free for others.
update trigger set owner = null
where owner = any(array(select value::bigint from json_array_elements_text($1::json)))
