//! Tokens and login links.

use std::time::Duration;

use crate::bench::Bench;

cases!(tokens_are_checked_and_revoked, a_login_link_works_once);

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
    assert_eq!(store.revoke_tokens("robot").await.unwrap(), 1);
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
