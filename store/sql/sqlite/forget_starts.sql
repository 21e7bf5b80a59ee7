-- What the new versions of these DAGs do not name any more.
delete from dag_start
where dag_id in (select d.value ->> 'dag_id' from json_each($1) d) and not exists (
    select 1 from json_each($2) x
    where x.value ->> 'dag_id' = dag_start.dag_id and x.value ->> 'kind' = dag_start.kind
        and x.value ->> 'name' = dag_start.name)
