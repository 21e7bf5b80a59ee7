-- What dead workers were carrying out is done by others, unless that was the last try: a callback that takes its worker down every
-- time must not take the fleet down.
update callback set owner = null, state = case when tries >= $2 then 'failed' else 'pending' end,
    ended_at = case when tries >= $2 then $3 end
where state = 'running' and owner in (select value from json_each($1))
