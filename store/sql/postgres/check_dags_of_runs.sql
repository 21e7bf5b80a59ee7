update dag set check_at = $2 where dag_id in (select dag_id from dag_run where id = any(array(select value::bigint from json_array_elements_text($1::json))))
