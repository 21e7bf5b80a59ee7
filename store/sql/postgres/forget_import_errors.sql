delete from import_error where file_path in (select json_array_elements_text($1::json))
