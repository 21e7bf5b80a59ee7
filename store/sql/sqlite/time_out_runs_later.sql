-- Their teardowns still run, with no time of the run to cut them off.
update dag_run set ends_as = 'failed', reason = 'dagrun_timeout', deadline_at = null, changed_at = $2
where id in (select value from json_each($1))
