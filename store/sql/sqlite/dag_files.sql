select hash, content from dag_file where hash in (select value from json_each($1))
