delete from import_error
where file_path in (select x.file_path from json_to_recordset($1::json) as x(file_path text))
