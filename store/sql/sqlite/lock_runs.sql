select r.id, r.dag_id, r.state, r.version_id, r.unfinished, r.failed_leaves, r.retries_used, r.ends_as, d.is_paused, d.max_active_tasks
from dag_run r
join dag d on d.dag_id = r.dag_id
where r.id in (select value from json_each($1)) and r.state = 'running'
order by r.id
