select id, definition from dag_version
where id in (select value from json_each($1))
