-- Suspended tries that still wait at the named epoch, and for triggers: that the named owner carries. Locking the task
-- instance makes their end happen once.
select t.id, t.try_number, t.max_tries, t.claim_id, s.rendered, s.log_next_seq, s.log_bytes, s.log_lines,
    s.log_bytes_dropped, g.args, g.checks, g.note
from json_to_recordset($1::json) as x(id bigint, epoch bigint, state text, owner bigint)
join task_instance t on t.id = x.id and t.epoch = x.epoch and t.state || '' = x.state
join suspended_try s on s.task_instance_id = t.id
left join trigger g on g.task_instance_id = t.id and g.epoch = t.epoch
where t.id = any(array(select (value ->> 'id')::bigint from json_array_elements($1::json)))
  and (x.owner is null or g.owner = x.owner)
order by t.id
for update of t
