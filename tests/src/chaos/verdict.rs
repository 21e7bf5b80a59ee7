//! What came of it: the product's own audit, and what can be known without it.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::{Duration, Instant};

use flow_testbed::Postgres;
use serde_json::Value;

use super::{Promised, Report};
use crate::api::Api;
use crate::cluster::Cluster;
use crate::processes::descendants_with;

/// Problems of one kind that are told one by one.
const EXAMPLES_MAX: usize = 5;

fn count(postgres: &Postgres, sql: &str) -> u64 {
    postgres.sql(sql).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0)
}

/// One line about how far the load is.
pub fn progress(postgres: &Postgres) -> String {
    let sql = "select string_agg(state || '=' || n, ' ' order by state)
               from (select state, count(*) n from task_instance group by state) s";
    postgres.sql(sql).map_or_else(|_| "(no database)".to_owned(), |text| text.trim().to_owned())
}

/// Whether everything is finished and nothing new will come.
pub async fn is_quiet(postgres: &Postgres, api: &Api) -> bool {
    let next = api.get("/api/flow/dags/ticking/next").await;
    if next["upcoming"].as_array().is_none_or(|upcoming| !upcoming.is_empty()) {
        return false;
    }
    let open = "select (select count(*) from dag_run where state in ('queued', 'running'))
                     + (select count(*) from dispatch_outbox) + (select count(*) from run_change)
                     + (select count(*) from callback where state in ('pending', 'running'))";
    postgres.sql(open).is_ok_and(|text| text.trim() == "0")
}

/// What is not finished.
pub fn unfinished(postgres: &Postgres) -> Vec<String> {
    let sql = "select 'run ' || r.dag_id || ' ' || r.run_id || ' ' || r.state || ': ' || coalesce(string_agg(
                   t.task_id || '=' || t.state || ' epoch ' || t.epoch || ' reason ' || coalesce(t.reason, '-'), ', '), '')
               from dag_run r left join task_instance t on t.dag_run_id = r.id
               where r.state in ('queued', 'running') group by r.id
               union all select 'outbox ' || count(*) from dispatch_outbox having count(*) > 0
               union all select 'callbacks ' || count(*) from callback where state in ('pending', 'running') having count(*) > 0
               union all select 'changes ' || count(*) from run_change having count(*) > 0";
    lines(postgres, sql)
}

fn lines(postgres: &Postgres, sql: &str) -> Vec<String> {
    match postgres.sql(sql) {
        Ok(text) => text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect(),
        Err(error) => vec![format!("cannot ask the database: {error:#}")],
    }
}

/// Looks at everything that is left, after all roles have stopped.
pub fn reach(cluster: &Cluster, postgres: &Postgres, promised: &Promised, problems: Vec<String>) -> Report {
    let rescued = "select count(*) from task_instance_event
                   where reason in ('lease_expired', 'worker_restarted', 'poison', 'outcome_unknown')";
    let mut report = Report {
        runs: count(postgres, "select count(*) from dag_run where state in ('success', 'failed')"),
        runs_failed: count(postgres, "select count(*) from dag_run where state = 'failed'"),
        tasks: count(postgres, "select count(*) from task_instance where ended_at is not null"),
        rescues: count(postgres, rescued),
        poisoned: count(postgres, "select count(*) from task_instance where reason = 'poison'"),
        deferrals: count(postgres, "select count(*) from task_instance_event where to_state = 'deferred'"),
        callbacks: count(postgres, "select count(*) from callback where state = 'delivered'"),
        events: count(postgres, "select count(*) from start_event where dag_run_id is not null"),
        problems,
        ..Report::default()
    };
    audit(cluster, &mut report);
    let mut tell = |what: &str, examples: Vec<String>| {
        let length = examples.len();
        if length > 0 {
            let shown = examples.into_iter().take(EXAMPLES_MAX).collect::<Vec<_>>().join("\n  ");
            report.problems.push(format!("{length} {what}:\n  {shown}"));
        }
    };
    tell("runs were promised and are not there", lost_runs(postgres, &promised.runs));
    tell("events did not start exactly the run that was promised", wrong_events(postgres, &promised.events));
    tell("callbacks do not fit what they have written", compare_callbacks(cluster, postgres));
    tell("questions have wrong answers", wrong_answers(postgres));
    tell("triggers and suspended tries are left over", leftovers(postgres));
    tell(
        "task instances succeeded twice",
        lines(
            postgres,
            // Besides those whose group starts again.
            "select e.task_instance_id || ': ' || count(*) from task_instance_event e
             join task_instance t on t.id = e.task_instance_id
             where e.to_state = 'success' and t.task_id not like 'each.%'
             group by e.task_instance_id having count(*) > 1",
        ),
    );
    tell(
        "task instances failed, though nothing but losses can make them fail",
        lines(
            postgres,
            "select id || ' ' || dag_id || ' ' || task_id || ' try ' || try_number || ': ' || coalesce(reason, '')
             from task_instance where state = 'failed' and coalesce(reason, '') <> 'poison'",
        ),
    );
    tell("entries of the journal do not fit the history", compare_with_journal(cluster, postgres));
    tell("processes of tasks outlived their workers", survivors(cluster));
    report
}

fn audit(cluster: &Cluster, report: &mut Report) {
    let done = cluster.program().run(&["audit", "verify", "-o", "json"]);
    let result: Value = serde_json::from_str(&done.stdout).unwrap_or(Value::Null);
    let Some(violations) = result["violations"].as_array() else {
        report.problems.push(format!("the audit could not be made: {}", done.stderr));
        return;
    };
    report.violations = violations.len() as u64;
    for violation in violations.iter().take(2 * EXAMPLES_MAX) {
        report.problems.push(format!("the audit found {violation}"));
    }
    if violations.is_empty() != (done.code == 0) {
        report.problems.push(format!("the audit ended with exit code {}: {}", done.code, done.stderr));
    }
}

fn lost_runs(postgres: &Postgres, acknowledged: &BTreeSet<String>) -> Vec<String> {
    let known: HashSet<String> = lines(postgres, "select run_id from dag_run").into_iter().collect();
    acknowledged.iter().filter(|run| !known.contains(*run)).cloned().collect()
}

/// Every success was started, and every start was allowed. Claims are written as tasks see them.
fn compare_with_journal(cluster: &Cluster, postgres: &Postgres) -> Vec<String> {
    let text = std::fs::read_to_string(cluster.path("journal")).unwrap_or_default();
    let starts: HashSet<&str> = text.lines().filter_map(|line| line.strip_prefix("start ")).collect();
    let claims = |condition: &str| {
        lines(
            postgres,
            &format!(
                "select to_hex(e.task_instance_id) || '-' || to_hex(e.claim_id)
                 from task_instance_event e join task_instance t on t.id = e.task_instance_id
                 where t.task_id like 'j\\_%' and {condition}"
            ),
        )
    };
    let allowed: HashSet<String> = claims("e.to_state = 'running'").into_iter().collect();
    let succeeded = claims("e.to_state = 'success'");
    let mut wrong: Vec<String> = succeeded
        .iter()
        .filter(|claim| !starts.contains(claim.as_str()))
        .map(|claim| format!("{claim} succeeded and was never started"))
        .collect();
    let ghosts = starts.iter().filter(|start| !allowed.contains(**start));
    wrong.extend(ghosts.map(|start| format!("{start} was started and never claimed")));
    if succeeded.is_empty() || starts.is_empty() {
        wrong.push("there was nothing to compare".to_owned());
    }
    wrong
}

/// Processes of tasks that are still there, given a moment to die.
fn survivors(cluster: &Cluster) -> Vec<String> {
    let probe = format!("PROBE={}", cluster.folder().display());
    let begin = Instant::now();
    loop {
        let left = descendants_with(&probe);
        if left.is_empty() || begin.elapsed() > Duration::from_secs(5) {
            return left.iter().map(|pid| format!("process {pid}")).collect();
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Each event has started one run, and whoever sent it was told which.
fn wrong_events(postgres: &Postgres, promised: &BTreeMap<u64, Vec<String>>) -> Vec<String> {
    let sql = "select e.event_id || ' ' || r.run_id from start_event e join dag_run r on r.id = e.dag_run_id";
    let known: HashSet<String> = lines(postgres, sql).into_iter().collect();
    let told = promised.iter().flat_map(|(number, runs)| runs.iter().map(move |run| format!("order-{number} {run}")));
    let mut wrong: Vec<String> = told.filter(|told| !known.contains(told)).collect();
    let twice = "select r.conf || ': ' || count(*) from dag_run r where r.dag_id = 'hooked' group by r.conf having count(*) > 1";
    wrong.extend(lines(postgres, twice));
    wrong.extend(lines(
        postgres,
        "select 'run ' || r.run_id || ' of ' || r.conf || ' has left no file' from dag_run r
         join task_instance t on t.dag_run_id = r.id
         where r.dag_id = 'hooked' and t.state = 'success'
           and not exists (select 1 from artifact a where a.task_instance_id = t.id and a.name = 'order')",
    ));
    if promised.is_empty() {
        wrong.push("no event was taken in".to_owned());
    }
    wrong
}

/// What was delivered has been written at least once and at most as often as it was tried; and nothing else has.
fn compare_callbacks(cluster: &Cluster, postgres: &Postgres) -> Vec<String> {
    let text = std::fs::read_to_string(cluster.path("callbacks")).unwrap_or_default();
    let mut written: BTreeMap<&str, u64> = BTreeMap::new();
    for line in text.lines() {
        *written.entry(line).or_default() += 1;
    }
    let sql = "select c.state || '|' || c.tries || '|' || r.run_id || ' ' || coalesce(t.task_id, 'run') || ' ' || c.event
                   || ' ' || c.try_number
               from callback c join dag_run r on r.id = c.dag_run_id left join task_instance t on t.id = c.task_instance_id";
    let mut wrong = Vec::new();
    let rows = lines(postgres, sql);
    for row in &rows {
        let mut parts = row.splitn(3, '|');
        let (state, tries) = (parts.next().unwrap_or_default(), parts.next().and_then(|tries| tries.parse().ok()));
        let what = parts.next().unwrap_or_default();
        let times = written.remove(what).unwrap_or(0);
        let is_right = match state {
            "delivered" => (1..=tries.unwrap_or(0)).contains(&times),
            // Given up, because its worker died each time.
            "failed" => times <= tries.unwrap_or(0),
            _ => false,
        };
        if !is_right {
            wrong.push(format!("{what} is {state} after {tries:?} tries, and was written {times} times"));
        }
    }
    wrong.extend(written.keys().map(|line| format!("`{line}` was written, and there is no such callback")));
    if rows.is_empty() {
        wrong.push("there were no callbacks".to_owned());
    }
    wrong
}

fn wrong_answers(postgres: &Postgres) -> Vec<String> {
    lines(
        postgres,
        "select t.task_id || ' of run ' || r.run_id || ': ' || coalesce(h.responded_by, 'nobody') || ', ' || t.state
         from human_task h join task_instance t on t.id = h.task_instance_id join dag_run r on r.id = t.dag_run_id
         where h.closed_at is null or (t.task_id = 'ask') <> (h.responded_by is not null) or t.state <> 'success'",
    )
}

fn leftovers(postgres: &Postgres) -> Vec<String> {
    lines(
        postgres,
        "select 'trigger of ' || task_instance_id from trigger
         union all select 'suspended try of ' || task_instance_id from suspended_try",
    )
}
