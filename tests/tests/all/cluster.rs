//! Roles as processes of their own on PostgreSQL and Redis.

use std::time::Duration;

use flow_testbed::{PgBouncer, Postgres, Redis, shared_postgres};
use flow_tests::{Api, Cluster, eventually, eventually_within};
use reqwest::Method;
use serde_json::json;

const WIDE: &str = "
max_active_tasks = 40
[tasks.begin]
bash = 'echo begin'
[tasks.a]
depends_on = ['begin']
bash = 'sleep 0.5; echo a'
[tasks.b]
depends_on = ['begin']
bash = 'sleep 0.7; echo b'
[tasks.c]
depends_on = ['begin']
sleep = '300ms'
[tasks.end]
depends_on = ['a', 'b', 'c']
bash = 'echo {{ xcom.a }} {{ xcom.b }}'
";
const SPECIAL: &str = "
[tasks.usual]
bash = 'echo $PLACE'
[tasks.special]
depends_on = ['usual']
queue = 'special'
bash = 'echo $PLACE'
";

const EVERYTHING: &str = "
[tasks.list]
bash = 'echo [1, 2, 3, 4]'
output = 'json'
[task_groups.each]
expand = { n = '{{ xcom.list }}' }
retries = 1
retry_delay = '200ms'
[task_groups.each.tasks.first]
bash = 'echo $(({{ n }} * 10))'
[task_groups.each.tasks.second]
depends_on = ['first']
bash = 'test {{ n }} != 3 -o -e @FOLDER@/again || { touch @FOLDER@/again; exit 1; }; echo {{ xcom.first }}'
[tasks.pick]
depends_on = ['each']
branch = '''{{ 'big' if xcom.each.second | map('int') | sum > 50 else 'small' }}'''
[tasks.big]
depends_on = ['pick']
file_sensor = { filepath = '@FOLDER@/arrived', poke_interval = '100ms' }
[tasks.small]
depends_on = ['pick']
noop = true
[tasks.other]
depends_on = ['big', 'small']
trigger_rule = 'none_failed_min_one_success'
trigger_dag = { trigger_dag_id = 'special', wait_for_completion = true, poke_interval = '100ms' }
";

async fn trigger(api: &Api, dag: &str) -> String {
    let path = format!("/api/v2/dags/{dag}/dagRuns");
    let body = json!({ "logical_date": null });
    let (status, run) = api.ask(Method::POST, &path, Some(&body)).await.expect("an answer");
    assert_eq!(status, 200, "{run}");
    run["dag_run_id"].as_str().expect("a run has an id").to_owned()
}

async fn succeeds(api: &Api, dag: &str, run: &str) {
    let state = eventually_within(Duration::from_secs(40), &format!("run `{run}` of `{dag}` ends"), async || {
        let state = api.run_state(dag, run).await;
        (state == "success" || state == "failed").then_some(state)
    })
    .await;
    assert_eq!(state, "success", "{dag} {run}");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_schedulers_and_three_workers_share_the_work() {
    let redis = Redis::start().expect("Redis starts");
    let database = shared_postgres().create_database().expect("a database");
    let cluster = Cluster::new(&database, &redis.url()).expect("an installation");
    cluster.write_dag("wide", WIDE).unwrap();
    cluster.write_dag("special", SPECIAL).unwrap();
    let mut roles = vec![
        cluster.start("scheduler-1", &["scheduler"]).unwrap(),
        cluster.start("scheduler-2", &["scheduler"]).unwrap(),
        cluster.start("web", &["web"]).unwrap(),
    ];
    let mut first = cluster.start_with("worker-1", &["worker"], &[("PLACE", "first")]).unwrap();
    roles.push(cluster.start_with("worker-2", &["worker"], &[("PLACE", "second")]).unwrap());
    let api = cluster.api().unwrap();
    for dag in ["wide", "special"] {
        let path = format!("/api/v2/dags/{dag}");
        eventually("the DAGs are published", async || (!api.get(&path).await.is_null()).then_some(())).await;
    }

    // A queue that nobody serves waits, and says so.
    let special = trigger(&api, "special").await;
    eventually("it is queued", async || {
        (api.task("special", &special, "special").await["state"] == "queued").then_some(())
    })
    .await;
    let path = format!("/api/flow/dags/special/dagRuns/{special}/taskInstances/special/explain");
    let explained = api.get(&path.replace(':', "%3A").replace('+', "%2B")).await.to_string();
    assert!(explained.contains("special"), "{explained}");
    let args = ["worker", "--queues", "special"];
    roles.push(cluster.start_with("worker-3", &args, &[("PLACE", "third")]).unwrap());
    succeeds(&api, "special", &special).await;
    assert_eq!(api.xcom("special", &special, "special", "return_value").await, "third");
    assert_ne!(api.xcom("special", &special, "usual", "return_value").await, "third");

    // Many runs; on the way one worker drains, and Redis forgets everything, twice.
    let mut runs = Vec::new();
    for _ in 0..10 {
        runs.push(trigger(&api, "wide").await);
    }
    redis.flush_all().unwrap();
    first.stop(Duration::from_secs(15)).await.expect("the worker drains");
    redis.flush_all().unwrap();
    for run in &runs {
        succeeds(&api, "wide", run).await;
        assert_eq!(api.xcom("wide", run, "end", "return_value").await, "a b");
    }
    let tries = async |run: &str, task: &str| api.tries("wide", run, task).await.len();
    for run in &runs {
        assert_eq!(tries(run, "a").await, 1, "a drain costs no try");
    }

    // Without Redis everything goes on, only slower.
    redis.kill().unwrap();
    let run = trigger(&api, "wide").await;
    succeeds(&api, "wide", &run).await;
    redis.start_again().unwrap();
    let run = trigger(&api, "wide").await;
    succeeds(&api, "wide", &run).await;

    for mut role in roles {
        role.stop(Duration::from_secs(20)).await.unwrap_or_else(|error| panic!("{error:#}"));
    }
    let audit = cluster.program().run(&["audit", "verify"]).expect(0);
    assert!(audit.stdout.contains(" 0 violations"), "{}", audit.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn mapping_branches_and_waiting_outlive_a_triggerer() {
    let redis = Redis::start().expect("Redis starts");
    let database = shared_postgres().create_database().expect("a database");
    let cluster = Cluster::new(&database, &redis.url()).expect("an installation");
    cluster.write_dag("everything", EVERYTHING).unwrap();
    cluster.write_dag("special", &SPECIAL.replace("queue = 'special'", "")).unwrap();
    let mut roles = vec![
        cluster.start("scheduler", &["scheduler"]).unwrap(),
        cluster.start("web", &["web"]).unwrap(),
        cluster.start_with("worker", &["worker"], &[("PLACE", "here")]).unwrap(),
    ];
    let mut doomed = cluster.start("triggerer-1", &["triggerer"]).unwrap();
    let api = cluster.api().unwrap();
    for dag in ["everything", "special"] {
        let path = format!("/api/v2/dags/{dag}");
        eventually("the DAGs are published", async || (!api.get(&path).await.is_null()).then_some(())).await;
    }
    let run = trigger(&api, "everything").await;
    eventually_within(Duration::from_secs(20), "the sensor waits", async || {
        (api.task("everything", &run, "big").await["state"] == "deferred").then_some(())
    })
    .await;
    assert_eq!(api.task("everything", &run, "small").await["state"], "skipped");
    // The first triggerer dies with what it carries; another one takes it over.
    doomed.kill();
    roles.push(cluster.start("triggerer-2", &["triggerer"]).unwrap());
    std::fs::write(cluster.path("arrived"), "").unwrap();
    succeeds(&api, "everything", &run).await;
    let child = api.xcom("everything", &run, "other", "return_value").await;
    assert_eq!(api.run_state("special", child.as_str().unwrap()).await, "success");
    for mut role in roles {
        role.stop(Duration::from_secs(20)).await.unwrap_or_else(|error| panic!("{error:#}"));
    }
    let audit = cluster.program().run(&["audit", "verify"]).expect(0);
    assert!(audit.stdout.contains(" 0 violations"), "{}", audit.stdout);
}

/// All roles, and the migrations, speak with the database through a pooler only; its server dies on the way.
#[tokio::test(flavor = "multi_thread")]
async fn everything_works_through_a_pooler_that_loses_its_server() {
    let (postgres, redis) = (Postgres::start().unwrap(), Redis::start().unwrap());
    let pooler = PgBouncer::start(&postgres, "").unwrap();
    let database = pooler.url(&postgres.create_database().unwrap());
    let cluster = Cluster::new(&database, &redis.url()).unwrap();
    let doctor = cluster.program().run(&["doctor"]).stdout;
    assert!(doctor.contains("through a pooler in transaction mode"), "{doctor}");
    cluster.write_dag("wide", WIDE).unwrap();
    cluster.write_dag("everything", EVERYTHING).unwrap();
    cluster.write_dag("special", &SPECIAL.replace("queue = 'special'", "")).unwrap();
    let mut roles = Vec::new();
    for role in ["scheduler", "web", "worker", "triggerer"] {
        roles.push(cluster.start_with(role, &[role], &[("PLACE", "here")]).unwrap());
    }
    let api = cluster.api().unwrap();
    for dag in ["wide", "everything", "special"] {
        let path = format!("/api/v2/dags/{dag}");
        eventually("the DAGs are published", async || (!api.get(&path).await.is_null()).then_some(())).await;
    }
    succeeds(&api, "wide", &trigger(&api, "wide").await).await;
    let during = trigger(&api, "wide").await;
    let waiting = trigger(&api, "everything").await;
    eventually_within(Duration::from_secs(30), "the sensor waits", async || {
        (api.task("everything", &waiting, "big").await["state"] == "deferred").then_some(())
    })
    .await;
    postgres.stop_immediate().unwrap();
    postgres.start_again().unwrap();
    succeeds(&api, "wide", &during).await;
    std::fs::write(cluster.path("arrived"), "").unwrap();
    succeeds(&api, "everything", &waiting).await;
    succeeds(&api, "wide", &trigger(&api, "wide").await).await;
    for mut role in roles {
        role.stop(Duration::from_secs(20)).await.unwrap_or_else(|error| panic!("{error:#}"));
    }
    let audit = cluster.program().run(&["audit", "verify"]).expect(0);
    assert!(audit.stdout.contains(" 0 violations"), "{}", audit.stdout);
}

/// A Redis that takes no writes, or nobody without a password, answers to a look all the same: probe and doctor say what it is.
#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_does_not_work_is_told() {
    let url = shared_postgres().create_database().unwrap();
    let redis = Redis::start().unwrap();
    let cluster = Cluster::new(&url, &redis.url()).unwrap();
    let probes = format!("127.0.0.1:{}", flow_testbed::free_port().unwrap());
    let operators = Api::new(&format!("http://{probes}"), "");
    let start = || cluster.start_with("web", &["web"], &[("FLOW__PROBES__BIND", &probes)]).unwrap();
    let told = async |said: &str, hint: &str| {
        eventually(&format!("`{said}` is told"), async || {
            let (status, found) = operators.ask(Method::GET, "/readyz", None).await.ok()?;
            let queue = found["queue"].as_str().unwrap_or_default();
            (status == 503 && found["ready"] == false && found["store"] == "ok" && queue.contains(said)).then_some(())
        })
        .await;
        let doctor = cluster.program().run(&["doctor"]).expect(1);
        let all = doctor.stdout + &doctor.stderr;
        assert!(all.contains(said) && all.contains(hint), "{all}");
    };
    let web = start();
    for (breaks, mends, said, hint) in [
        (
            ["CONFIG", "SET", "maxmemory", "1"].as_slice(),
            ["CONFIG", "SET", "maxmemory", "0"].as_slice(),
            "OOM",
            "maxmemory",
        ),
        (&["REPLICAOF", "127.0.0.1", "1"], &["REPLICAOF", "NO", "ONE"], "replica", "primary"),
    ] {
        redis.command(breaks).unwrap();
        told(said, hint).await;
        redis.command(mends).unwrap();
        eventually("it is ready again", async || {
            let (status, _) = operators.ask(Method::GET, "/readyz", None).await.ok()?;
            (status == 200).then_some(())
        })
        .await;
    }
    drop(web);
    redis.command(&["CONFIG", "SET", "requirepass", "another"]).unwrap();
    let _web = start();
    told("uthentication", "user:password@host").await;
}
