update dag set is_active = false, next_tick = null, check_at = $2, changed_at = $2
where is_active and file_path in (select value from json_each($1))
