-- What dead workers were carrying out is done by others.
update callback set state = 'pending', owner = null
where state = 'running' and owner in (select value from json_each($1))
