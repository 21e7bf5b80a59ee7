-- New content gets a new version; known content keeps its old one.
insert into dag_version (dag_id, number, hash, definition, source, callbacks, created_at)
select x.value ->> 'dag_id',
    coalesce((select max(v.number) from dag_version v where v.dag_id = x.value ->> 'dag_id'), 0) + 1,
    x.value ->> 'hash', x.value ->> 'definition', x.value ->> 'source', x.value ->> 'callbacks', $2
from json_each($1) x
where true
on conflict (dag_id, hash) do nothing
