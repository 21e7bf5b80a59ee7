-- The process must be live, and stay so until the end of the transaction.
update callback set state = 'running', owner = $1, tries = tries + 1
where id in (
    select id from callback where state = 'pending' and due_at <= $2 order by due_at limit $3 for update skip locked
)
  and exists (select 1 from process p where p.id = $1 and p.state = 'live' for share)
returning id
