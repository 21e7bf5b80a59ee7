select id, definition from dag_version
where id = any(array(select value::bigint from json_array_elements_text($1::json)))
