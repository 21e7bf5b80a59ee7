-- What starts runs from outside: webhooks, Redis streams, files that arrive.

-- What the DAGs' newest versions name, and what triggerers have found there.
create table dag_start (
    dag_id text not null,
    -- webhook, stream or files.
    kind text not null,
    name text not null,
    -- model::start::Start as JSON.
    definition text not null,
    -- When a triggerer took it up: what was there before is not new.
    began_at bigint,
    -- The last look, and what was wrong then.
    looked_at bigint,
    problem text,
    primary key (dag_id, kind, name)
);
create index dag_start_name on dag_start (kind, name);

-- Every event that was seen, so that it counts once.
create table start_event (
    dag_id text not null,
    source text not null,
    event_id text not null,
    -- The run that it started; null where it was there before the first look, or does not fit the DAG's params.
    dag_run_id bigint,
    at bigint not null,
    primary key (dag_id, source, event_id)
);
create index start_event_run on start_event (dag_run_id) where dag_run_id is not null;
