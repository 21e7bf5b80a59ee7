-- Variables and connections. What is secret is encrypted before it comes here: `v1:<key id>:<nonce and ciphertext>`.

create table variable (
    key text primary key,
    sealed text not null,
    -- Whether the value is never shown.
    is_secret boolean not null,
    description text,
    updated_at bigint not null
);

create table connection (
    conn_id text primary key,
    conn_type text not null,
    -- All of it, as JSON.
    sealed text not null,
    description text,
    updated_at bigint not null
);
