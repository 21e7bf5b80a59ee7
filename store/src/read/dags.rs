//! DAGs as they are listed, with their versions and newest runs.

use flow_model::dag::Catchup;
use flow_model::schedule::{Bounds, Schedule};
use flow_model::{DagVersionKey, RunState, Timestamp};
use serde::Deserialize;

use crate::connect::Store;
use crate::error::{Result, StoreError};
use crate::query::statement;
use crate::read::{Column, Page, record, records};
use crate::rows::json;
use crate::transaction::{step, steps};

/// What the next ticks of a DAG follow from.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct PlannedSchedule {
    /// When it runs.
    pub schedule: Schedule,
    /// No tick before this instant.
    pub start_date: Option<Timestamp>,
    /// No tick after this instant.
    pub end_date: Option<Timestamp>,
    /// What happens to missed ticks.
    pub catchup: Catchup,
}

impl PlannedSchedule {
    /// First and last instant at which it may tick.
    pub const fn bounds(&self) -> Bounds {
        Bounds { start: self.start_date, end: self.end_date }
    }
}

impl Column for PlannedSchedule {
    type Raw = String;
    fn read(raw: String) -> Result<Self, StoreError> {
        serde_json::from_str(&raw).map_err(|error| StoreError::Corrupt { what: "schedule", why: error.to_string() })
    }
}

record!(
    /// A DAG and its newest version.
    DagRecord from DagRow {
        /// Its id.
        dag_id: String,
        /// Its newest version.
        version_id: Option<DagVersionKey>,
        /// The version's number: 1, 2 ...
        version_number: Option<i64>,
        /// Its file, relative to the DAG folder.
        file_path: String,
        /// Shown instead of the id where there is one.
        display_name: Option<String>,
        /// One line about what it does.
        description: Option<String>,
        /// Who answers for it.
        owner: String,
        /// Labels.
        tags: Vec<String>,
        /// When it runs.
        schedule: PlannedSchedule,
        /// The same in a few characters.
        schedule_summary: String,
        /// Runs that may be running at once.
        max_active_runs: i64,
        /// Task instances that may be queued or running at once.
        max_active_tasks: i64,
        /// Whether nothing new starts.
        is_paused: bool,
        /// False once its file is gone.
        is_active: bool,
        /// The planned tick.
        next_tick: Option<Timestamp>,
        /// When it was seen for the first time.
        first_seen_at: Timestamp,
        /// When its newest version came.
        changed_at: Timestamp,
        /// Whether its file cannot be read at present.
        has_import_errors: bool,
    }
);

record!(
    /// A published version.
    DagVersionRecord from DagVersionRow {
        /// Its key.
        id: DagVersionKey,
        /// Its number within the DAG: 1, 2 ...
        number: i64,
        /// The hash of its content.
        hash: String,
        /// When it was published.
        created_at: Timestamp,
    }
);

record!(
    /// The text of a version's file.
    DagSource from DagSourceRow {
        /// The version's number.
        number: i64,
        /// The text.
        source: String,
    }
);

record!(
    /// One of the newest runs of a DAG.
    RecentRun from RecentRunRow {
        /// The DAG.
        dag_id: String,
        /// The run's id.
        run_id: String,
        /// Its state.
        state: RunState,
        /// When it was due.
        run_after: Timestamp,
        /// When it started.
        started_at: Option<Timestamp>,
        /// When it ended.
        ended_at: Option<Timestamp>,
    }
);

/// Which DAGs are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DagFilter {
    /// Part of the id, upper and lower case alike; `%` stands for any text, `_` for any character.
    pub pattern: Option<String>,
    /// Only paused ones, or only others.
    pub paused: Option<bool>,
    /// Only those with one of these labels; empty: whatever their labels.
    pub tags: Vec<String>,
    /// Also those whose file is gone.
    pub include_stale: bool,
}

const DAG_COLUMNS_FROM: &str = "select d.dag_id, d.version_id, v.number as version_number, d.file_path, d.display_name,
    d.description, d.owner, d.tags, d.schedule, d.schedule_summary, d.max_active_runs, d.max_active_tasks, d.is_paused,
    d.is_active, d.next_tick, d.first_seen_at, d.changed_at,
    exists (select 1 from import_error e where e.dag_id = d.dag_id or e.file_path = d.file_path) as has_import_errors
 from dag d left join dag_version v on v.id = d.version_id ";

const DAG_FILTER_POSTGRES: &str = "where ($1::text is null or lower(d.dag_id) like $1)
    and ($2::boolean is null or d.is_paused = $2) and (d.is_active or $3)
    and ($4::text is null or exists (
        select 1 from json_array_elements_text(d.tags::json) t(tag)
        where t.tag in (select json_array_elements_text($4::json)))) ";

const DAG_FILTER_SQLITE: &str = "where ($1 is null or lower(d.dag_id) like $1)
    and ($2 is null or d.is_paused = $2) and (d.is_active or $3)
    and ($4 is null or exists (
        select 1 from json_each(d.tags) t where t.value in (select value from json_each($4)))) ";

impl Store {
    /// DAGs in order of their ids, and how many there are in all.
    ///
    /// # Errors
    /// The database failed.
    pub async fn list_dags(&self, filter: &DagFilter, page: Page) -> Result<(Vec<DagRecord>, i64)> {
        let pattern = &filter.pattern.as_ref().map(|pattern| format!("%{}%", pattern.to_lowercase()));
        let tags = &(!filter.tags.is_empty()).then(|| json(&filter.tags));
        let (rows, total): (Vec<DagRow>, i64) = self
            .reading("list DAGs", |tx| {
                steps(async move {
                    let condition = tx.choose(DAG_FILTER_POSTGRES, DAG_FILTER_SQLITE);
                    let list = format!("{DAG_COLUMNS_FROM}{condition} order by d.dag_id limit $5 offset $6");
                    let rows = tx
                        .query(sqlx::AssertSqlSafe(list))
                        .bind(pattern)
                        .bind(filter.paused)
                        .bind(filter.include_stale)
                        .bind(tags)
                        .bind(page.limit())
                        .bind(page.offset())
                        .all()
                        .await?;
                    let count = format!("select count(*) from dag d {condition}");
                    let total = tx
                        .query(sqlx::AssertSqlSafe(count))
                        .bind(pattern)
                        .bind(filter.paused)
                        .bind(filter.include_stale)
                        .bind(tags)
                        .scalar()
                        .await?;
                    Ok((rows, total))
                })
            })
            .await?;
        Ok((records(rows)?, total))
    }

    /// One DAG.
    ///
    /// # Errors
    /// There is no such DAG, or the database failed.
    pub async fn find_dag(&self, dag_id: &str) -> Result<DagRecord> {
        let row: Option<DagRow> = self
            .reading("read a DAG", |tx| {
                step(
                    tx.query(sqlx::AssertSqlSafe(format!("{DAG_COLUMNS_FROM} where d.dag_id = $1")))
                        .bind(dag_id)
                        .optional(),
                )
            })
            .await?;
        row.ok_or_else(|| StoreError::NotFound { what: "dag", name: dag_id.to_owned() })?.try_into()
    }

    /// All labels of active DAGs, sorted.
    ///
    /// # Errors
    /// The database failed.
    pub async fn dag_tags(&self) -> Result<Vec<String>> {
        let lists: Vec<String> = self
            .reading("list tags", |tx| {
                step(tx.query("select distinct tags from dag where is_active and tags <> '[]'").scalars())
            })
            .await?;
        let mut tags = Vec::new();
        for list in lists {
            tags.extend(Vec::<String>::read(list)?);
        }
        tags.sort();
        tags.dedup();
        Ok(tags)
    }

    /// The newest runs of each of the DAGs, newest first.
    ///
    /// # Errors
    /// The database failed.
    pub async fn recent_runs(&self, dag_ids: &[&str], per_dag: i64) -> Result<Vec<RecentRun>> {
        let dag_ids = json(dag_ids);
        let rows: Vec<RecentRunRow> = self
            .reading("list recent runs", |tx| {
                step(tx.query(statement!("read_recent_runs")).bind(&dag_ids).bind(per_dag).all())
            })
            .await?;
        records(rows)
    }

    /// The versions of a DAG, newest first, and how many there are.
    ///
    /// # Errors
    /// The database failed.
    pub async fn dag_versions(&self, dag_id: &str, page: Page) -> Result<(Vec<DagVersionRecord>, i64)> {
        let (rows, total): (Vec<DagVersionRow>, i64) = self
            .reading("list versions of a DAG", |tx| {
                steps(async move {
                    let rows = tx
                        .query(
                            "select id, number, hash, created_at from dag_version where dag_id = $1
                             order by number desc limit $2 offset $3",
                        )
                        .bind(dag_id)
                        .bind(page.limit())
                        .bind(page.offset())
                        .all()
                        .await?;
                    let total =
                        tx.query("select count(*) from dag_version where dag_id = $1").bind(dag_id).scalar().await?;
                    Ok((rows, total))
                })
            })
            .await?;
        Ok((records(rows)?, total))
    }

    /// The text of a DAG's file, as it was for the newest version or for the one of that number.
    ///
    /// # Errors
    /// There is no such DAG or version, or the database failed.
    pub async fn dag_source(&self, dag_id: &str, number: Option<i64>) -> Result<DagSource> {
        let row: Option<DagSourceRow> = self
            .reading("read the source of a DAG", |tx| {
                steps(async move {
                    Ok(match number {
                        None => {
                            tx.query(
                                "select v.number, v.source from dag d join dag_version v on v.id = d.version_id
                                 where d.dag_id = $1",
                            )
                            .bind(dag_id)
                            .optional()
                            .await?
                        }
                        Some(number) => {
                            tx.query("select number, source from dag_version where dag_id = $1 and number = $2")
                                .bind(dag_id)
                                .bind(number)
                                .optional()
                                .await?
                        }
                    })
                })
            })
            .await?;
        let not_found = || match number {
            None => StoreError::NotFound { what: "dag", name: dag_id.to_owned() },
            Some(number) => StoreError::NotFound { what: "dag version", name: format!("{dag_id} {number}") },
        };
        row.ok_or_else(not_found)?.try_into()
    }
}
