insert into xcom (dag_run_id, task_id, map_index, key, value, task_instance_id, epoch, created_at)
select t.dag_run_id, t.task_id, t.map_index, x.value ->> 'key', x.value ->> 'value', t.id, x.value ->> 'epoch', $2
from json_each($1) x
join task_instance t on t.id = x.value ->> 'ti'
where true
on conflict (dag_run_id, task_id, map_index, key) do update set value = excluded.value, epoch = excluded.epoch,
    created_at = excluded.created_at
