select hash, content from dag_file where hash in (select json_array_elements_text($1::json))
