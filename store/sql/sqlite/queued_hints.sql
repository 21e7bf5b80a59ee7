-- The first few of each queue in index order, then the best of those: the cost does not grow with what is queued.
select t.id, t.epoch
from json_each($1) q
join task_instance t on t.id in (
    select i.id from task_instance i
    where i.state = 'queued' and i.queue = q.value
    order by i.priority desc, i.id
    limit $2
)
order by t.priority desc, t.id
limit $2
