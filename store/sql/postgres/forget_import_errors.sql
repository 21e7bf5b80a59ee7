delete from import_error where file_path = any(array(select json_array_elements_text($1::json)))
