delete from dispatch_outbox where id in (select value from json_each($1))
