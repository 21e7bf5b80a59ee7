-- The process must be live, and stay so until the end of the transaction.
update trigger set owner = $1
where task_instance_id in (
    select task_instance_id from trigger where owner is null and is_timer = $2
    order by due_at limit $3 for update skip locked
)
  and exists (select 1 from process p where p.id = $1 and p.state = 'live' for share)
returning task_instance_id
