delete from import_error where file_path in (select x.value ->> 'file_path' from json_each($1) x)
