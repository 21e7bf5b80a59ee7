select dag_id, state, version_id, ends_as from dag_run where id = $1
