-- What the new versions of these DAGs do not name any more.
delete from dag_start s
using json_to_recordset($1::json) as d(dag_id text)
where s.dag_id = d.dag_id and not exists (
    select 1 from json_to_recordset($2::json) as x(dag_id text, kind text, name text)
    where x.dag_id = s.dag_id and x.kind = s.kind and x.name = s.name)
