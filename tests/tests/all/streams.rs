//! Entries of a Redis stream start runs, on a cluster, whoever dies.

use std::collections::BTreeSet;
use std::time::Duration;

use flow_testbed::{Redis, shared_postgres};
use flow_tests::{Api, Cluster, eventually, eventually_within};
use serde_json::Value;

const ORDERS: &str = "
schedule = { stream = { connection = 'shop', stream = 'orders' } }
max_active_runs = 4
[params.order]
type = 'integer'
minimum = 1
[tasks.load]
bash = 'echo order {{ params.order }} of {{ params.customer }}'
";

/// The runs of the DAG; none twice, because a run's conf is its entry.
async fn orders(api: &Api) -> Vec<Value> {
    let page = api.get("/api/v2/dags/orders/dagRuns?limit=100&order_by=id").await;
    page["dag_runs"].as_array().cloned().unwrap_or_default()
}

async fn succeeded(api: &Api, expected: impl IntoIterator<Item = i64>) {
    let expected: BTreeSet<i64> = expected.into_iter().collect();
    let runs = eventually_within(Duration::from_secs(40), &format!("the orders {expected:?} are loaded"), async || {
        let runs = orders(api).await;
        let is_over = |run: &Value| run["state"] == "success";
        (runs.len() >= expected.len() && runs.iter().all(is_over)).then_some(runs)
    })
    .await;
    let found: Vec<i64> = runs.iter().map(|run| run["conf"]["order"].as_i64().unwrap()).collect();
    assert_eq!(found.iter().copied().collect::<BTreeSet<_>>(), expected);
    assert_eq!(found.len(), expected.len(), "none has two: {found:?}");
}

async fn start_of(api: &Api) -> Value {
    api.get("/api/flow/dags/orders/starts").await["starts"][0].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_entry_starts_one_run_whoever_dies() {
    let (queue, shop) = (Redis::start().expect("Redis starts"), Redis::start().expect("Redis starts"));
    let database = shared_postgres().create_database().expect("a database");
    let cluster = Cluster::new(&database, &queue.url()).expect("an installation");
    cluster.write_dag("orders", ORDERS).unwrap();
    let order = |number: i64| {
        shop.command(&["XADD", "orders", "*", "order", &number.to_string(), "customer", "it's \"one\"; ls"]).unwrap()
    };
    // There before anybody looks.
    order(1);
    let mut roles = vec![
        cluster.start("scheduler", &["scheduler"]).unwrap(),
        cluster.start("web", &["web"]).unwrap(),
        cluster.start("worker", &["worker"]).unwrap(),
    ];
    // Nobody has said yet where the shop is: that is told.
    let mut lost = cluster.start("triggerer-0", &["triggerer"]).unwrap();
    let api = cluster.api().unwrap();
    eventually("the DAG is published", async || {
        api.get("/api/v2/dags/orders").await["dag_id"].is_string().then_some(())
    })
    .await;
    eventually_within(Duration::from_secs(20), "the missing connection is told", async || {
        let start = start_of(&api).await;
        start["problem"].as_str().is_some_and(|problem| problem.contains("`shop` does not exist")).then_some(())
    })
    .await;
    lost.stop(Duration::from_secs(20)).await.unwrap();

    let url = shop.url();
    let env = [("FLOW_CONN_SHOP", url.as_str())];
    // The first one dies between the run and the acknowledgement; the second one finds the entry unacknowledged.
    let dying = [env[0], ("FLOW_CRASH_POINT", "triggerer.before_acknowledge:1")];
    let mut first = cluster.start_with("triggerer-1", &["triggerer"], &dying).unwrap();
    eventually_within(Duration::from_secs(20), "the stream is taken up", async || {
        start_of(&api).await["began_at"].is_string().then_some(())
    })
    .await;
    order(2);
    order(3);
    eventually_within(Duration::from_secs(20), "the first triggerer dies", async || first.ended().map(|_| ())).await;
    roles.push(cluster.start_with("triggerer-2", &["triggerer"], &env).unwrap());
    roles.push(cluster.start_with("triggerer-3", &["triggerer"], &env).unwrap());
    (4..=20).for_each(|number| drop(order(number)));
    // Not an order at all: refused once, and it holds up nobody.
    shop.command(&["XADD", "orders", "*", "order", "none"]).unwrap();
    succeeded(&api, 2..=20).await;
    eventually_within(Duration::from_secs(30), "everything is acknowledged", async || {
        let pending = shop.command(&["XPENDING", "orders", "flow-orders"]).unwrap();
        pending.starts_with("*4\r\n:0\r\n").then_some(())
    })
    .await;
    assert_eq!(orders(&api).await.len(), 19, "what was taken over had its run already");
    let run = orders(&api).await[0]["dag_run_id"].as_str().unwrap().to_owned();
    assert_eq!(api.xcom("orders", &run, "load", "return_value").await, "order 2 of it's \"one\"; ls");

    // The shop's Redis forgets everything: people are told, and what comes afterwards counts.
    shop.flush_all().unwrap();
    order(21);
    succeeded(&api, 2..=21).await;
    eventually_within(Duration::from_secs(20), "the loss is told", async || {
        let start = start_of(&api).await;
        start["problem"].as_str().is_some_and(|problem| problem.contains("consumer group was gone")).then_some(())
    })
    .await;
    for mut role in roles {
        role.stop(Duration::from_secs(20)).await.unwrap_or_else(|error| panic!("{error:#}"));
    }
    let audit = cluster.program().run(&["audit", "verify"]).expect(0);
    assert!(audit.stdout.contains(" 0 violations"), "{}", audit.stdout);
}
