-- The largest limits of all versions.
select dag_id, max((definition::json ->> 'max_active_tasks')::bigint), max((definition::json ->> 'max_active_runs')::bigint)
from dag_version
group by dag_id
