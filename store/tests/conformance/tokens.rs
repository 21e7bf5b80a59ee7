//! Tokens and login links.

use std::time::Duration;

use flow_model::TokenKind;

use crate::bench::{Bench, Raw};

cases!(
    tokens_are_checked_and_revoked,
    a_login_link_works_once,
    a_name_is_no_permission,
    each_kind_is_let_in_or_not,
    names_that_had_a_meaning_become_kinds,
);

async fn tokens_are_checked_and_revoked(bench: Bench) {
    let store = &bench.store;
    let token = store.create_token(bench.now(), "robot", None).await.unwrap();
    assert!(token.starts_with("flow_"));
    let soon = bench.now() + Duration::from_secs(10);
    let short = store.create_token(bench.now(), "guest", Some(soon)).await.unwrap();
    assert_eq!(store.check_token(bench.now(), &token).await.unwrap().as_deref(), Some("robot"));
    assert_eq!(store.check_token(bench.now(), &short).await.unwrap().as_deref(), Some("guest"));
    assert_eq!(store.check_token(bench.now(), "flow_guess").await.unwrap(), None);
    bench.pass(10);
    assert_eq!(store.check_token(bench.now(), &short).await.unwrap(), None);
    assert_eq!(store.tokens().await.unwrap().len(), 2);
    assert_eq!(bench.raw.number(&format!("select count(*) from api_token where hash = '{token}'")).await, 0);
    assert_eq!(store.revoke_tokens("robot", None).await.unwrap(), 1);
    assert_eq!(store.check_token(bench.now(), &token).await.unwrap(), None);
    store.revoke_token(&short).await.unwrap();
    assert_eq!(store.tokens().await.unwrap(), []);
}

async fn a_login_link_works_once(bench: Bench) {
    let store = &bench.store;
    let until = bench.now() + Duration::from_secs(600);
    let link = store.create_login_link(bench.now(), until).await.unwrap();
    assert_eq!(store.check_token(bench.now(), &link).await.unwrap(), None, "a link is not a session");
    let day = bench.now() + Duration::from_secs(86_400);
    let session = store.use_login_link(bench.now(), &link, day).await.unwrap().unwrap();
    assert_eq!(store.use_login_link(bench.now(), &link, day).await.unwrap(), None);
    assert_eq!(store.check_token(bench.now(), &session).await.unwrap().as_deref(), Some("admin"));
    assert_eq!(store.use_login_link(bench.now(), &session, day).await.unwrap(), None);
    let late = store.create_login_link(bench.now(), until).await.unwrap();
    bench.pass(600);
    assert_eq!(store.use_login_link(bench.now(), &late, day).await.unwrap(), None);
}

/// Whatever a token is called, it is what it was made for.
async fn a_name_is_no_permission(bench: Bench) {
    let (store, now) = (&bench.store, bench.now());
    let day = now + Duration::from_secs(86_400);
    for name in ["login-link", "login_link", "admin", "standalone", "session", "api", ""] {
        let token = store.create_token(now, name, Some(day)).await.unwrap();
        assert_eq!(store.check_token(now, &token).await.unwrap().as_deref(), Some(name));
        assert_eq!(store.use_login_link(now, &token, day).await.unwrap(), None, "{name}");
        assert_eq!(store.check_token(now, &token).await.unwrap().as_deref(), Some(name), "it is not used up");
    }
    let local = store.create_local_token(now, "standalone").await.unwrap();
    let next = store.create_local_token(now, "standalone").await.unwrap();
    assert_eq!(store.check_token(now, &local).await.unwrap(), None, "there is one at a time");
    assert_eq!(store.check_token(now, &next).await.unwrap().as_deref(), Some("standalone"));
    assert_eq!(store.revoke_tokens("standalone", Some(TokenKind::Api)).await.unwrap(), 1);
    assert_eq!(store.revoke_tokens("standalone", None).await.unwrap(), 1);
}

async fn each_kind_is_let_in_or_not(bench: Bench) {
    let (store, now) = (&bench.store, bench.now());
    let token = store.create_token(now, "robot", None).await.unwrap();
    for kind in TokenKind::ALL {
        bench.raw.run(&format!("update api_token set kind = '{kind}'")).await.unwrap();
        assert_eq!(store.check_token(now, &token).await.unwrap().is_some(), kind.lets_in(), "{kind}");
        assert_eq!(store.tokens().await.unwrap()[0].kind, *kind);
    }
    assert!(bench.raw.run("update api_token set kind = 'root'").await.is_err(), "the database knows the kinds, too");
    assert!(bench.raw.run("insert into api_token (hash, name, created_at) values ('x', 'y', 1)").await.is_err());
}

async fn names_that_had_a_meaning_become_kinds(bench: Bench) {
    let undo = [
        "drop table api_token",
        "create table api_token (hash text primary key, name text not null, created_at bigint not null,
            expires_at bigint, last_used_at bigint)",
        "delete from _sqlx_migrations where version = 9",
        "insert into api_token (hash, name, created_at, expires_at) values ('a', 'login-link', 1, 2),
            ('b', 'admin', 1, 2), ('c', 'admin', 1, null), ('d', 'standalone', 1, null), ('e', 'ci', 1, 2)",
    ];
    for statement in undo {
        bench.raw.run(statement).await.unwrap();
    }
    match &bench.raw {
        Raw::Postgres(pool) => sqlx::migrate!("../migrations/postgres").run(pool).await.unwrap(),
        Raw::Sqlite(pool) => sqlx::migrate!("../migrations/sqlite").run(pool).await.unwrap(),
    }
    let kinds = bench.raw.texts("select hash || ' ' || name || ' ' || kind from api_token order by hash").await;
    assert_eq!(kinds, ["a admin login_link", "b admin session", "c admin api", "d standalone local", "e ci api"]);
}
