insert into dag_start (dag_id, kind, name, definition)
select x.value ->> 'dag_id', x.value ->> 'kind', x.value ->> 'name', x.value ->> 'definition'
from json_each($1) x
where true
on conflict (dag_id, kind, name) do update set
    problem = case when dag_start.definition = excluded.definition then dag_start.problem end,
    definition = excluded.definition
