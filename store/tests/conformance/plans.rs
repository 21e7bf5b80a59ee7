//! With a long history, PostgreSQL answers the hot statements from indexes: no scan of all task instances or runs.

use std::time::Duration;

use flow_store::{AdvanceLimits, ClearRequest, LogAppend, OutcomeKind, Selection, StoreKind};
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row};

use crate::bench::{Bench, LEASE, limits, outcome};
use crate::dags::{every, shaped};

const SEED: &[&str] = &[
    "insert into dag_run (dag_id, run_id, run_type, triggered_by, version_id, state, logical_date, run_after, conf,
        created_at, started_at, ended_at, changed_at, actor)
     select 'old' || n % 50, 'r' || n, 'scheduled', 'timetable', 1, 'success', n::bigint * 1000000, n::bigint * 1000000, '{}', 0, 0, 0, 0,
        'scheduler'
     from generate_series(1, 4000) n",
    "insert into task_instance (dag_run_id, dag_id, task_id, task_index, state, epoch, try_number, max_tries, pool,
        pool_slots, queue, priority, changed_at, actor)
     select n / 5 + 1, 'old' || (n / 5 + 1) % 50, 't' || n % 5, n % 5, 'success', 1, 1, 0, 'default_pool', 1, 'default',
        1, 0, 'scheduler'
     from generate_series(0, 19999) n",
    "insert into attempt (task_instance_id, try_number, claim_id, state, log_bytes, log_lines, log_bytes_dropped, ended_at)
     select id, 1, -id, 'success', 0, 0, 0, 0 from task_instance",
    "insert into task_log (task_instance_id, try_number, seq, content) select id, 1, 0, 'line' from task_instance",
    "insert into xcom (dag_run_id, task_id, map_index, key, value, task_instance_id, epoch, created_at)
     select dag_run_id, task_id, -1, 'return_value', '1', id, 1, 0 from task_instance",
];

/// The hot statements with arguments.
const HOT: &[(&str, &str)] = &[
    ("claim", r#"'[{"task_instance": 20001, "epoch": 1, "claim": 5}]', 1, 1, 'w'"#),
    ("claimed", r#"'[{"task_instance": 20001, "epoch": 1, "claim": 5}]'"#),
    ("queued_hints", r#"'["default", "other"]', 10"#),
    ("ready_pairs", ""),
    ("ready_tasks", r#"'[{"dag": "live", "pool": "default_pool", "slots": 5, "k": 5}]', 1, '[]'"#),
    ("lock_changed_runs", "200"),
    ("take_changes", "'[4001, 4002]'"),
    (
        "count_upstream",
        r#"'[{"run": 4001, "index": 1, "success": 1, "failed": 0, "upstream_failed": 0, "skipped": 0, "removed": 0}]'"#,
    ),
    ("states_upstream", r#"'[{"run": 4001, "index": 1}]'"#),
    ("mapping_xcoms", r#"'[{"run": 4001, "task": "a", "key": "return_value"}]'"#),
    ("scope_instances", "4001, '[1]'"),
    ("give_map_values", r#"'[{"id": 20001, "map_index": 0, "map_value": "{}"}]'"#),
    ("copy_instances", r#"'[{"of": 20001, "map_index": 7, "map_value": "{}"}]', 1, 's'"#),
    ("raise_totals", r#"4001, '[{"index": 1, "by": 1}]'"#),
    ("start_over", r#"4001, 1, 's', 1, 'run_retry', '[{"index": 1, "retries": 0}]'"#),
    ("start_over", r#"4001, 1, 's', 1, 'group_retry', '[{"index": 1, "retries": 0, "map": 3}]'"#),
    ("group_tries", "'[4001]'"),
    ("count_group_tries", r#"'[{"run": 4001, "group_id": "g", "map_index": -1}]'"#),
    ("look_at_tasks", "4001, '[1]'"),
    ("tasks_waiting_for_past", r#"'["live"]', true"#),
    ("tasks_waiting_for_past", r#"'["live"]', false"#),
    ("lock_runs", "'[4001]'"),
    ("blocked_by_past", r#"'[{"ti": 20001, "task": "a"}]'"#),
    ("schedule_tasks", "'[20001]', 1, 's'"),
    ("end_undecided_tasks", "'[20001]', 1, 's', 'skipped', 'r'"),
    ("wait_for_past", "'[20001]'"),
    ("queue_tasks", "'[20001]', 1, 's'"),
    ("fill_outbox", r#"'[{"task_instance": 20001, "epoch": 1, "queue": "q"}]', 1"#),
    ("update_runs", r#"'[{"run": 4001, "unfinished": 1, "failed_leaves": 0, "state": null}]', 1, 's'"#),
    ("check_dags_of_runs", "'[4001]', 1"),
    ("count_live_runs", r#"'["live"]'"#),
    ("waiting_runs", r#"'[{"dag": "live", "k": 5}]'"#),
    ("newest_ended_runs", r#"'["live"]'"#),
    ("start_runs", "'[4001]', 1, 's'"),
    ("schedule_first_tasks", "4001, '[0, 1]', 1, 's'"),
    ("record_outcomes", r#"'[{"id": 20001, "epoch": 1, "claim": 5, "kind": "success", "ended_at": 1}]', 1, 'w', 3"#),
    (
        "record_attempts",
        r#"'[{"id": 20001, "claim": 5, "log_bytes": 0, "log_lines": 0, "log_bytes_dropped": 0, "ended_at": 1}]'"#,
    ),
    ("already_recorded", r#"'[{"id": 20001, "claim": 5}]'"#),
    ("write_xcoms", r#"'[{"ti": 20001, "epoch": 1, "key": "k", "value": "1"}]', 1"#),
    (
        "append_live_logs",
        r#"'[{"task_instance": 20001, "epoch": 1, "claim": 5, "try_number": 1, "seq": 0, "content": "c"}]'"#,
    ),
    ("rescue", "'[1, 2]', 1, 's', 'r', 3"),
    ("lock_overdue_runs", "1"),
    ("skip_unfinished", "'[4001]', 1, 's', '[20001]'"),
    ("time_out_runs", "'[4001]', 1, 's'"),
    ("time_out_runs_later", "'[4001]', 1"),
    ("instances_of_run", "4001"),
    ("lock_run", "4001"),
    ("user_moves", r#"'[{"id": 20001, "to_state": "none", "reason": "r", "retries": 0}]', 1, 'u'"#),
    ("forget_xcoms", "'[20001]', 4001"),
    ("repair_runs", "1"),
];

async fn with_a_long_history() -> Bench {
    let bench = Bench::new(StoreKind::Postgres).await;
    bench.publish(shaped("live", &["a", "b < a", "c < b", "d"])).await;
    bench.publish(every(shaped("clock", &["a"]), 60, bench.now(), flow_model::dag::Catchup::All)).await;
    for statement in SEED {
        bench.raw.run(statement).await.unwrap();
    }
    for run in ["r1", "r2", "r3"] {
        bench.trigger("live", run).await;
    }
    bench.settle().await;
    for order in bench.claim_some(2).await {
        bench.report(&order, OutcomeKind::Success).await;
    }
    bench.claim_some(1).await;
    for table in ["task_instance", "dag_run", "task_instance_event", "attempt", "task_log", "xcom"] {
        bench.raw.run(&format!("vacuum analyze {table}")).await.unwrap();
    }
    bench
}

#[tokio::test]
async fn hot_statements_use_indexes() {
    let bench = with_a_long_history().await;
    let mut connection = PgConnection::connect(&bench.url).await.unwrap();
    let mut wrong = Vec::new();
    for (number, (name, arguments)) in HOT.iter().enumerate() {
        let path = format!("{}/sql/postgres/{name}.sql", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(path).unwrap();
        for mode in ["force_custom_plan", "force_generic_plan"] {
            let execute = if arguments.is_empty() { String::new() } else { format!("({arguments})") };
            let script = [format!("set plan_cache_mode = {mode}"), format!("prepare p{number}{mode} as {text}")];
            for statement in script {
                sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut connection).await.unwrap();
            }
            let explain = format!("explain (costs off) execute p{number}{mode}{execute}");
            let plan: Vec<String> = sqlx::raw_sql(AssertSqlSafe(explain))
                .fetch_all(&mut connection)
                .await
                .unwrap()
                .iter()
                .map(|row| row.get(0))
                .collect();
            let scans = |line: &String| {
                ["task_instance", "dag_run", "attempt", "task_log", "xcom"].iter().any(|table| {
                    line.contains(&format!("Seq Scan on {table} ")) || line.ends_with(&format!("Seq Scan on {table}"))
                })
            };
            if plan.iter().any(scans) {
                wrong.push(format!("{name} ({mode}):\n{}", plan.join("\n")));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// SQLite has no statistics here, so what it shows is what it does at any size.
#[tokio::test]
async fn sqlite_searches_too() {
    let bench = Bench::new(StoreKind::Sqlite).await;
    let crate::bench::Raw::Sqlite(pool) = &bench.raw else { unreachable!() };
    let mut wrong = Vec::new();
    for (name, _) in HOT {
        let path = format!("{}/sql/sqlite/{name}.sql", env!("CARGO_MANIFEST_DIR"));
        let explain = format!("explain query plan {}", std::fs::read_to_string(path).unwrap());
        let plan = sqlx::query(AssertSqlSafe(explain)).fetch_all(pool).await.unwrap();
        let plan: Vec<String> = plan.iter().map(|row| row.get(3)).collect();
        let scans = |line: &String| {
            ["task_instance", "dag_run", "attempt", "task_log", "xcom", "t", "r", "q", "a"]
                .iter()
                .any(|table| line == &format!("SCAN {table}"))
        };
        if plan.iter().any(scans) {
            wrong.push(format!("{name}: {}", plan.join("; ")));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A list that is read again for each row of a table takes the square of their lengths.
#[tokio::test]
async fn sqlite_reads_each_list_once() {
    // These go through the tasks of one run only.
    const OF_ONE_RUN: [&str; 3] = ["raise_totals", "recount_upstream", "start_over"];
    let bench = Bench::new(StoreKind::Sqlite).await;
    let crate::bench::Raw::Sqlite(pool) = &bench.raw else { unreachable!() };
    let folder = format!("{}/sql/sqlite", env!("CARGO_MANIFEST_DIR"));
    let (mut looked_at, mut wrong) = (0, Vec::new());
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        if !text.contains("json_each") || OF_ONE_RUN.contains(&name.as_str()) {
            continue;
        }
        let plan = sqlx::query(AssertSqlSafe(format!("explain query plan {text}"))).fetch_all(pool).await.unwrap();
        let plan: Vec<(i64, String)> = plan.iter().map(|row| (row.get(1), row.get(3))).collect();
        let is_inner = |pair: &[(i64, String)]| {
            let [(outer, table), (inner, list)] = pair else { return false };
            let is_table =
                |line: &str| !line.contains("VIRTUAL") && ["SCAN", "SEARCH"].iter().any(|word| line.starts_with(word));
            outer == inner && is_table(table) && list.contains("VIRTUAL TABLE")
        };
        looked_at += 1;
        if plan.windows(2).any(is_inner) {
            wrong.push(format!("{name}: {plan:?}"));
        }
    }
    assert!(looked_at > 20 && wrong.is_empty(), "of {looked_at}: {}", wrong.join("\n"));
}

/// Waits until what the closed store and this test's own sessions have read is in the statistics. A session publishes its
/// counters when it ends, or when it is told to; an idle one keeps the last of them to itself.
async fn everything_is_counted(bench: &Bench) {
    let crate::bench::Raw::Postgres(pool) = &bench.raw else { unreachable!() };
    let sessions =
        "select count(*) from pg_stat_activity where datname = current_database() and backend_type = 'client backend'";
    while bench.raw.number(sessions).await > i64::from(pool.size()) {
        tokio::task::yield_now().await;
    }
    let mut own = Vec::new();
    while own.len() < pool.size() as usize {
        own.push(pool.acquire().await.unwrap());
    }
    for session in &mut own {
        sqlx::raw_sql("select pg_stat_force_next_flush()").execute(&mut **session).await.unwrap();
    }
}

async fn scans(bench: &Bench) -> Vec<String> {
    bench
        .raw
        .texts(
            "select relname || ' ' || coalesce(seq_scan, 0) from pg_stat_user_tables
             where relname in ('task_instance', 'dag_run', 'attempt', 'task_log', 'xcom', 'task_instance_event') order by 1",
        )
        .await
}

#[tokio::test]
async fn a_whole_life_scans_no_large_table() {
    let bench = with_a_long_history().await;
    bench.store.close().await;
    everything_is_counted(&bench).await;
    let before = scans(&bench).await;
    let options = flow_store::OpenOptions {
        connections_max: 2,
        clock: Some(bench.clock.clone()),
        ..flow_store::OpenOptions::default()
    };
    let store = flow_store::Store::open(&bench.url, options).await.unwrap();
    // More than five times each, so that generic plans have their turn.
    for round in 0..12_i64 {
        bench.pass(60);
        let now = bench.now();
        let tick = AdvanceLimits { use_outbox: true, ..limits() };
        store.check_due_dags(now, 100, "s", flow_model::decide::decide_dag).await.unwrap();
        store.advance(now, &tick, flow_model::decide::decide_tick).await.unwrap();
        store.next_check().await.unwrap();
        store.time_out_runs(now, "s").await.unwrap();
        store.heartbeat(now, bench.worker, LEASE).await.unwrap();
        store.rescue_lost(now, now - LEASE, "s").await.unwrap();
        store.stale_outbox(now, 10).await.unwrap();
        store.long_queued(now, 10).await.unwrap();
        store.pools_in_use().await.unwrap();
        let hints = store.queued_hints(&["default".to_owned()], 3).await.unwrap();
        let requests: Vec<_> = hints
            .into_iter()
            .map(|(task_instance, epoch)| flow_store::ClaimRequest { task_instance, epoch, claim: bench.new_claim() })
            .collect();
        for order in store.claim(now, bench.worker, &requests).await.unwrap() {
            let piece = LogAppend {
                task_instance: order.task_instance,
                epoch: order.epoch,
                claim: order.claim,
                try_number: order.try_number,
                seq: 0,
                content: "line".to_owned(),
            };
            store.append_logs(&[piece]).await.unwrap();
            let mut report = outcome(&order, OutcomeKind::Success, now);
            report.xcoms = vec![flow_store::NewXCom { key: "k".to_owned(), value: "1".to_owned() }];
            store.record_outcomes(now, bench.worker, &[report.clone()]).await.unwrap();
            store.record_outcomes(now, bench.worker, &[report]).await.unwrap();
            store.xcom(order.run, "a", -1, "k").await.unwrap();
        }
        let clear = ClearRequest {
            run: flow_model::DagRunKey(4_001 + round % 3),
            tasks: Selection::default(),
            only_failed: false,
            principal: "someone".to_owned(),
        };
        store.clear_tasks(now, &clear, round % 2 == 0).await.unwrap();
        store.repair_counts(now).await.unwrap();
    }
    store.close().await;
    everything_is_counted(&bench).await;
    assert_eq!(scans(&bench).await, before);
}

/// Rows of a table that were read so far, by scans of all of it and through indexes.
async fn rows_read(bench: &Bench, table: &str) -> (i64, i64) {
    let column =
        |column: &str| format!("select coalesce({column}, 0) from pg_stat_user_tables where relname = '{table}'");
    (bench.raw.number(&column("seq_tup_read")).await, bench.raw.number(&column("idx_tup_fetch")).await)
}

/// A session keeps the plans that it made while the tables were empty, and nobody has analysed them yet.
#[tokio::test]
async fn plans_from_the_first_minute_stay_good() {
    const TASKS: i64 = 3_000;
    let bench = Bench::new(StoreKind::Postgres).await;
    bench.publish(shaped("small", &["a", "b < a", "c < b"])).await;
    for n in 0..8 {
        bench.trigger("small", &format!("r{n}")).await;
        bench.run_to_end(&[]).await;
    }
    let mut lines = vec!["t0".to_owned()];
    lines.extend((1..TASKS).map(|n| format!("t{n} < t0")));
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    bench.publish(flow_model::Dag { max_active_tasks: 50, ..shaped("large", &lines) }).await;
    bench.trigger("large", "r").await;
    let mut slowest = Duration::ZERO;
    loop {
        let due = bench.check_dags().await;
        let begin = std::time::Instant::now();
        let advanced = bench.advance().await;
        slowest = slowest.max(begin.elapsed());
        let orders = bench.claim_all().await;
        if orders.is_empty() && advanced.changes == 0 && due.dags == 0 {
            break;
        }
        let outcomes: Vec<_> = orders.iter().map(|order| outcome(order, OutcomeKind::Success, bench.now())).collect();
        bench.store.record_outcomes(bench.now(), bench.worker, &outcomes).await.unwrap();
    }
    // One tick schedules 3,000 tasks at once; comparing each with each would take it many times as long.
    assert!(slowest < Duration::from_secs(4), "{slowest:?}");
    bench.store.close().await;
    everything_is_counted(&bench).await;
    for table in ["task_instance", "dag_run", "attempt", "task_instance_event"] {
        let (scanned, fetched) = rows_read(&bench, table).await;
        assert_eq!(scanned, 0, "{table}");
        assert!(fetched < 40 * TASKS, "{table}: {fetched} rows were read for {TASKS} tasks");
    }
}
