insert into xcom (dag_run_id, task_id, map_index, key, value, task_instance_id, epoch, created_at)
select t.dag_run_id, t.task_id, t.map_index, x.key, x.value, t.id, x.epoch, $2
from json_to_recordset($1::json) as x(ti bigint, epoch bigint, key text, value text)
join task_instance t on t.id = x.ti
on conflict (dag_run_id, task_id, map_index, key) do update set value = excluded.value, epoch = excluded.epoch,
    created_at = excluded.created_at
