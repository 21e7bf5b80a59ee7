-- The process must be live.
update callback set state = 'running', owner = $1, tries = tries + 1
where id in (select id from callback where state = 'pending' and due_at <= $2 order by due_at limit $3)
  and exists (select 1 from process p where p.id = $1 and p.state = 'live')
returning id
