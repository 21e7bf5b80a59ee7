//! Sensors that wait for something in a Redis.

use flow_testbed::Redis;
use flow_tests::{Standalone, eventually};
use serde_json::json;

const DAG: &str = r#"
[tasks.key.redis_key_sensor]
connection = "shop"
key = "ready:{{ conf.day }}"
poke_interval = "100ms"

[tasks.list.redis_key_sensor]
connection = "shop"
key = "basket"
poke_interval = "100ms"

[tasks.new.redis_stream_sensor]
connection = "shop"
stream = "orders"
count = 2
poke_interval = "100ms"

[tasks.old.redis_stream_sensor]
connection = "shop"
stream = "orders"
after = "0"

[tasks.next]
depends_on = ["old"]
[tasks.next.redis_stream_sensor]
connection = "shop"
stream = "orders"
after = "{{ xcom.old[0].id }}"
poke_interval = "100ms"

[tasks.dated.redis_stream_sensor]
connection = "shop"
stream = "orders"
after = "2026-01-01T00:00:00Z"

[tasks.wrong_key.redis_stream_sensor]
connection = "shop"
stream = "basket"

[tasks.wrong_after.redis_stream_sensor]
connection = "shop"
stream = "orders"
after = "{{ conf.day }} or so"

[tasks.wrong_connection.redis_key_sensor]
connection = "nowhere"
key = "x"

[tasks.wrong_type.redis_key_sensor]
connection = "web"
key = "x"
"#;

const LARGE: &str = r#"
[default_args]
retries = 0
[tasks.fits]
redis_key_sensor = { connection = "shop", key = "fits" }
[tasks.large]
redis_key_sensor = { connection = "shop", key = "large" }
[tasks.quoted]
redis_key_sensor = { connection = "shop", key = "quoted" }
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_text_is_found_whole_or_not_at_all() {
    let shop = Redis::start().expect("Redis starts");
    let mut flow = Standalone::with(&[("large", LARGE)]).await;
    flow.flowctl(&["connections", "set", "shop", "--uri", &shop.url()]).expect(0);
    let set = |key: &str, bytes: usize, with: &str| {
        shop.command(&["SETRANGE", key, &(bytes - 1).to_string(), with]).unwrap();
    };
    set("fits", 1_000_000 / 6, "x");
    set("large", (1 << 20) + 1, "x");
    set("quoted", 1 << 20, "x");
    let run = flow.flowctl(&["trigger", "large"]).expect(0).stdout.trim().to_owned();
    assert_eq!(flow.finished("large", &run).await, "failed");
    let found = flow.api().xcom("large", &run, "fits", "return_value").await;
    // Redis fills with the character NUL, which is kept as its symbol.
    assert_eq!(found["value"].as_str().map(|text| text.chars().count()), Some(1_000_000 / 6));
    for (task, why) in [("large", "the text of `large` is larger"), ("quoted", "what it found is larger")] {
        let log = flow.api().log("large", &run, task, 1).await.unwrap();
        assert!(log.iter().any(|line| line.contains(why) && line.contains("than an XCom may be (1 MiB)")), "{log:?}");
        assert!(log.iter().any(|line| line.starts_with("hint: wait for something smaller")), "{log:?}");
    }
    flow.stop_and_audit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sensors_wait_for_keys_and_entries() {
    let shop = Redis::start().expect("Redis starts");
    let mut flow = Standalone::with(&[("waits", DAG)]).await;
    flow.flowctl(&["connections", "set", "shop", "--uri", &shop.url()]).expect(0);
    flow.flowctl(&["connections", "set", "web", "--conn-type", "http", "--host", "localhost"]).expect(0);
    shop.command(&["XADD", "orders", "1-1", "order", "1"]).unwrap();
    shop.command(&["XADD", "orders", "1767225600000-0", "order", "2"]).unwrap();
    shop.command(&["RPUSH", "basket", "apple"]).unwrap();
    let day = r#"{"day": "it's \"one\""}"#;
    let run = flow.flowctl(&["trigger", "waits", "--conf", day]).expect(0).stdout.trim().to_owned();

    for (task, hint) in [
        ("wrong_key", "WRONGTYPE"),
        ("wrong_after", "neither an entry's id nor an instant"),
        ("wrong_connection", "`nowhere` does not exist"),
        ("wrong_type", "its type is `http`, not `redis`"),
    ] {
        flow.task_is("waits", &run, task, "failed").await;
        let told = flow.flowctl(&["tasks", "explain", "waits", task, "--run", &run]).expect(0).stdout;
        assert!(told.contains(hint), "{task}: {told}");
    }
    let left = async |task: &str| flow.api().xcom("waits", &run, task, "return_value").await;
    flow.task_is("waits", &run, "list", "success").await;
    assert_eq!(left("list").await, json!({ "key": "basket", "type": "list", "value": null }));
    flow.task_is("waits", &run, "old", "success").await;
    assert_eq!(left("old").await, json!([{ "id": "1-1", "fields": { "order": "1" } }]));
    flow.task_is("waits", &run, "next", "success").await;
    let second = json!([{ "id": "1767225600000-0", "fields": { "order": "2" } }]);
    assert_eq!(left("next").await, second);
    flow.task_is("waits", &run, "dated", "success").await;
    assert_eq!(left("dated").await, second, "an instant counts itself");

    let says = async |task: &str, text: &str| {
        eventually(text, async || {
            let told = flow.flowctl(&["tasks", "explain", "waits", task, "--run", &run]).expect(0).stdout;
            told.contains(text).then_some(())
        })
        .await;
    };
    says("key", "there is no key `ready:it's \"one\"`").await;
    says("new", "0 of 2 entries").await;
    shop.command(&["SET", "ready:it's \"one\"", "yes"]).unwrap();
    flow.task_is("waits", &run, "key", "success").await;
    assert_eq!(left("key").await, json!({ "key": "ready:it's \"one\"", "type": "string", "value": "yes" }));
    shop.command(&["XADD", "orders", "*", "order", "3"]).unwrap();
    says("new", "1 of 2 entries").await;
    shop.command(&["XADD", "orders", "*", "order", "4"]).unwrap();
    flow.task_is("waits", &run, "new", "success").await;
    let entries = left("new").await;
    assert_eq!([&entries[0]["fields"]["order"], &entries[1]["fields"]["order"]], ["3", "4"]);
    flow.stop_and_audit().await;
}
