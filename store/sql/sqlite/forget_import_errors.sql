delete from import_error where file_path in (select value from json_each($1))
