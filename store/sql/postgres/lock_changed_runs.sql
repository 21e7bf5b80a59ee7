-- Runs with changes that nobody else is taking in. A queued run keeps its changes until it starts.
select r.id, r.dag_id, r.state, r.version_id, r.unfinished, r.failed_leaves, r.retries_used, r.ends_as, d.is_paused, d.max_active_tasks
from dag_run r
join dag d on d.dag_id = r.dag_id
where r.id in (select dag_run_id from run_change) and r.state <> 'queued'
order by r.id
limit $1
for update of r skip locked
