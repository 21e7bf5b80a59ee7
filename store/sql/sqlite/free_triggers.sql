-- What dead triggerers carried is free for others.
update trigger set owner = null where owner in (select value from json_each($1))
