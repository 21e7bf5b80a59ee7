-- Their teardowns still run, with no time of the run to cut them off.
update dag_run set ends_as = 'failed', reason = 'dagrun_timeout', deadline_at = null, changed_at = $2
where id = any(array(select value::bigint from json_array_elements_text($1::json)))
