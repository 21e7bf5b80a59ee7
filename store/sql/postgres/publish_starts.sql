insert into dag_start (dag_id, kind, name, definition)
select x.dag_id, x.kind, x.name, x.definition
from json_to_recordset($1::json) as x(dag_id text, kind text, name text, definition text)
on conflict (dag_id, kind, name) do update set
    problem = case when dag_start.definition = excluded.definition then dag_start.problem end,
    definition = excluded.definition
