//! A long history, made by copying a real run with everything that belongs to it, in SQL that both databases understand.

use anyhow::{Context, Result};

use crate::installation::{Installation, Setup};

/// Runs that are copied by one statement.
const CHUNK: usize = 50;

/// Copies the newest run so many times: task instances, tries and events included. Nothing of Flow may be running.
pub(crate) async fn copy_runs(installation: &Installation<'_>, copies: usize) -> Result<()> {
    let columns = Columns::read(installation)?;
    let source = number(installation, "select max(id) from dag_run")?;
    let mut first = 1;
    while first <= copies {
        let last = copies.min(first + CHUNK - 1);
        let newest = number(installation, "select max(id) from dag_run")?;
        installation.sql(&columns.copy(source, newest, first, last)).context("failed to copy runs")?;
        first = last + 1;
        tokio::task::yield_now().await;
    }
    // As a database is that has grown over months: its statistics know the rows.
    installation.sql(match installation.setup() {
        Setup::Embedded => "pragma wal_checkpoint(truncate);",
        Setup::PostgresRedis => "vacuum (analyze); checkpoint;",
    })?;
    Ok(())
}

/// The columns of the tables that are copied, as the schema has them today; without ids, which the database gives.
struct Columns {
    is_sqlite: bool,
    dag_run: Vec<String>,
    task_instance: Vec<String>,
    attempt: Vec<String>,
    task_instance_event: Vec<String>,
    dag_run_event: Vec<String>,
}

impl Columns {
    fn read(installation: &Installation<'_>) -> Result<Self> {
        let is_sqlite = installation.setup() == Setup::Embedded;
        let of = |table: &str| -> Result<Vec<String>> {
            let names = installation.sql(&if is_sqlite {
                format!("select name from pragma_table_info('{table}')")
            } else {
                format!(
                    "select column_name from information_schema.columns \
                     where table_schema = current_schema() and table_name = '{table}' order by ordinal_position"
                )
            })?;
            Ok(names.lines().filter(|name| *name != "id").map(str::to_owned).collect())
        };
        Ok(Columns {
            is_sqlite,
            dag_run: of("dag_run")?,
            task_instance: of("task_instance")?,
            attempt: of("attempt")?,
            task_instance_event: of("task_instance_event")?,
            dag_run_event: of("dag_run_event")?,
        })
    }

    /// Copies the run `source` as numbers `first` to `last`. `newest` is the id of the newest run so far. The last event
    /// of a copy is written by the database itself, by its triggers.
    fn copy(&self, source: i64, newest: i64, first: usize, last: usize) -> String {
        let pragmas = if self.is_sqlite { "pragma synchronous = off; pragma cache_size = -200000;" } else { "" };
        let runs = insert(
            "dag_run",
            &self.dag_run,
            "s",
            &[("run_id", "'copy_' || n"), ("logical_date", "s.logical_date - n * 1000000")],
        );
        let tasks = insert("task_instance", &self.task_instance, "s", &[("dag_run_id", "r.id")]);
        let attempts = insert("attempt", &self.attempt, "a", &[("task_instance_id", "c.id")]);
        let task_events = insert(
            "task_instance_event",
            &self.task_instance_event,
            "e",
            &[("task_instance_id", "c.id"), ("dag_run_id", "c.dag_run_id")],
        );
        let run_events = insert("dag_run_event", &self.dag_run_event, "e", &[("dag_run_id", "r.id")]);
        let copied_task = format!(
            "task_instance c join task_instance s on s.dag_run_id = {source} and s.task_index = c.task_index \
             and s.map_index = c.map_index"
        );
        format!(
            "{pragmas}
{runs} from dag_run s cross join
    (with recursive copies(n) as (select {first} union all select n + 1 from copies where n < {last})
     select n from copies) numbers
where s.id = {source};
{tasks} from dag_run r join task_instance s on s.dag_run_id = {source} where r.id > {newest};
{attempts} from {copied_task} join attempt a on a.task_instance_id = s.id where c.dag_run_id > {newest};
{task_events} from {copied_task} join task_instance_event e on e.task_instance_id = s.id
where c.dag_run_id > {newest} and e.event_no <> c.event_no;
{run_events} from dag_run r join dag_run_event e on e.dag_run_id = {source}
where r.id > {newest} and e.event_no <> r.event_no;
"
        )
    }
}

/// The front of an `insert ... select` that takes all columns from `alias`, except those that are replaced.
fn insert(table: &str, columns: &[String], alias: &str, replaced: &[(&str, &str)]) -> String {
    let values: Vec<String> = columns
        .iter()
        .map(|column| match replaced.iter().find(|(name, _)| name == column) {
            Some((_, value)) => (*value).to_owned(),
            None => format!("{alias}.{column}"),
        })
        .collect();
    format!("insert into {table} ({}) select {}", columns.join(", "), values.join(", "))
}

fn number(installation: &Installation<'_>, sql: &str) -> Result<i64> {
    let answer = installation.sql(sql)?;
    answer.trim().parse().with_context(|| format!("`{sql}` was answered `{}`", answer.trim()))
}
