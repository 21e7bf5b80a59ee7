-- What a token is for is said by its kind, not by its name.
alter table api_token add column kind text not null default 'api'
    check (kind in ('api', 'session', 'local', 'login_link'));
-- The names that had a meaning. Only what expires was ever a session.
update api_token set kind = 'login_link', name = 'admin' where name = 'login-link';
update api_token set kind = 'session' where name = 'admin' and kind = 'api' and expires_at is not null;
update api_token set kind = 'local' where name = 'standalone';
alter table api_token alter column kind drop default;
