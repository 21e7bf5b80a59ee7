update dag set check_at = $2 where dag_id in (select dag_id from dag_run where id in (select value from json_each($1)))
