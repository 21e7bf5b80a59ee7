-- Suspended tries that still wait at the named epoch, and for triggers: that the named owner carries.
select t.id, t.try_number, t.max_tries, t.claim_id, s.rendered, s.log_next_seq, s.log_bytes, s.log_lines,
    s.log_bytes_dropped, g.args, g.checks, g.note
from json_each($1) x
join task_instance t on t.id = x.value ->> 'id'
join suspended_try s on s.task_instance_id = t.id
left join trigger g on g.task_instance_id = t.id and g.epoch = t.epoch
where t.epoch = x.value ->> 'epoch' and t.state = x.value ->> 'state'
  and (x.value ->> 'owner' is null or g.owner = x.value ->> 'owner')
order by t.id
