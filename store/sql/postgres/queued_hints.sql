-- The first few of each queue in index order, then the best of those: the cost does not grow with what is queued.
select t.id, t.epoch
from json_array_elements_text($1::json) q
cross join lateral (
    select id, epoch, priority from task_instance
    where state = 'queued' and queue = q.value
    order by priority desc, id
    limit $2
) t
order by t.priority desc, t.id
limit $2
