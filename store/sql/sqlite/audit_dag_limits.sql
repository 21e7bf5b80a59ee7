-- The largest limits of all versions.
select dag_id, max(definition ->> '$.max_active_tasks'), max(definition ->> '$.max_active_runs')
from dag_version
group by dag_id
