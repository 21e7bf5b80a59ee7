delete from dispatch_outbox where id = any(array(select value::bigint from json_array_elements_text($1::json)))
