select dag_id, state, version_id from dag_run where id = $1
