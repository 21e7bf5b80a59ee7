update dag set is_active = false, next_tick = null, check_at = $2, changed_at = $2
where is_active and file_path = any(array(select json_array_elements_text($1::json)))
