select id, epoch from task_instance
where state = 'queued' and queue in (select value from json_each($1))
order by priority desc, id
limit $2
