delete from dispatch_outbox where id in (select value::bigint from json_array_elements_text($1::json))
