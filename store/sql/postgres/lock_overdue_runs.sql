select id, version_id from dag_run where state = 'running' and deadline_at is not null and deadline_at <= $1
order by id for update skip locked
