select id, epoch from task_instance
where state = 'queued' and queue = any(array(select json_array_elements_text($1::json)))
order by priority desc, id
limit $2
