select e.id as seq, e.task_instance_id, e.event_no, e.from_state, e.to_state, e.epoch, e.claim_id, e.try_number, e.actor,
    e.actor_id, e.reason, e.at
from task_instance_event e
where e.task_instance_id in (select t.id from task_instance t where t.dag_run_id = any(array(select value::bigint from json_array_elements_text($1::json))))
order by e.task_instance_id, e.event_no
