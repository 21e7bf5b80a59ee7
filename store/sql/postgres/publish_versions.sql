-- New content gets a new version; known content keeps its old one.
insert into dag_version (dag_id, number, hash, definition, source, callbacks, created_at)
select x.dag_id, coalesce((select max(v.number) from dag_version v where v.dag_id = x.dag_id), 0) + 1, x.hash,
    x.definition, x.source, x.callbacks, $2
from json_to_recordset($1::json) as x(dag_id text, hash text, definition text, source text, callbacks bigint)
on conflict (dag_id, hash) do nothing
