-- What a token is for is said by its kind, not by its name.
create table token_with_kind (
    hash text primary key,
    name text not null,
    kind text not null check (kind in ('api', 'session', 'local', 'login_link')),
    created_at bigint not null,
    expires_at bigint,
    last_used_at bigint
);
-- The names that had a meaning. Only what expires was ever a session.
insert into token_with_kind (hash, name, kind, created_at, expires_at, last_used_at)
select hash, case name when 'login-link' then 'admin' else name end,
    case when name = 'login-link' then 'login_link' when name = 'admin' and expires_at is not null then 'session'
        when name = 'standalone' then 'local' else 'api' end,
    created_at, expires_at, last_used_at
from api_token;
drop table api_token;
alter table token_with_kind rename to api_token;
