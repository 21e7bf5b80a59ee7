//! XComs: small values that tasks leave for others. They are written together with the success of their task; people may
//! change what a task has left.

use flow_model::limits::{XCOM_BYTES_MAX, XCOM_KEY_BYTES_MAX};
use flow_model::outside::is_step;
use flow_model::{DagRunKey, DagVersionKey, Timestamp};
use serde_json::Value;

use crate::audit_log::{self, Deed};
use crate::clear::LockedRun;
use crate::connect::Store;
use crate::error::{Result, StoreError};
use crate::query::statement;
use crate::rows::json_text;
use crate::transaction::{step, steps};

/// Which value of which task is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct XComPull {
    /// The task that left it.
    pub task_id: String,
    /// `return_value`, or the name that the task chose.
    pub key: String,
    /// Of which of the task's instances.
    pub instances: XComInstances,
    /// Of which run.
    pub run: XComRun,
}

/// Of which instances of a task values are wanted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum XComInstances {
    /// Of the one instance, or of all instances of a mapped task: these as a list.
    All,
    /// Of the instance with this map index.
    One(i64),
    /// Of these, as a list in this order; instances that left none are left out.
    Several(Vec<i64>),
}

/// Of which run of the DAG values are wanted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum XComRun {
    /// The run itself.
    This,
    /// The run itself, else the newest run of an earlier logical date that has one.
    ThisOrEarlier,
    /// The run of this id.
    Named(String),
}

/// What a person does with a value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum XComChange<'a> {
    /// A new value; there must be none yet.
    Create(&'a Value),
    /// Another value in place of the one that is there.
    Replace(&'a Value),
    /// No value.
    Delete,
}

/// The place of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct XComPlace<'a> {
    /// The run.
    pub run: DagRunKey,
    /// The task.
    pub task_id: &'a str,
    /// -1 for a task that is not mapped.
    pub map_index: i64,
    /// The key.
    pub key: &'a str,
}

impl Store {
    /// The value that a task of the run left under `key`, if it has succeeded and left one.
    ///
    /// # Errors
    /// The database failed.
    pub async fn xcom(&self, run: DagRunKey, task_id: &str, map_index: i64, key: &str) -> Result<Option<Value>> {
        let text: Option<String> = self
            .reading("read an XCom", |tx| {
                step(
                    tx.query(
                        "select value from xcom where dag_run_id = $1 and task_id = $2 and map_index = $3 and key = $4",
                    )
                    .bind(run.0)
                    .bind(task_id)
                    .bind(map_index)
                    .bind(key)
                    .optional_scalar(),
                )
            })
            .await?;
        text.map(|text| parse(&text)).transpose()
    }

    /// What `ti.xcom_pull` gives: one value, or a list where several instances are meant.
    ///
    /// # Errors
    /// The database failed.
    pub async fn pull_xcom(&self, run: DagRunKey, pull: &XComPull) -> Result<Option<Value>> {
        let found = match &pull.run {
            XComRun::This => self.pull_from(run, pull).await?,
            XComRun::ThisOrEarlier => match self.pull_from(run, pull).await? {
                Some(found) => Some(found),
                None => match self.earlier_run_with_xcom(run, pull).await? {
                    Some(earlier) => self.pull_from(earlier, pull).await?,
                    None => None,
                },
            },
            XComRun::Named(run_id) => match self.sibling_run(run, run_id).await? {
                Some(sibling) => {
                    let found = self.pull_from(sibling, pull).await?;
                    return if found.is_some() { Ok(found) } else { self.list_of_nothing(sibling, pull).await };
                }
                None => return Ok(None),
            },
        };
        if found.is_some() { Ok(found) } else { self.list_of_nothing(run, pull).await }
    }

    /// What a mapped task has left whose instances have left nothing, or that has come to none: a list with nothing in it. As
    /// long as it waits to be mapped, or where it could not be, there is none.
    async fn list_of_nothing(&self, run: DagRunKey, pull: &XComPull) -> Result<Option<Value>> {
        if matches!(pull.instances, XComInstances::One(_)) {
            return Ok(None);
        }
        let (version, open): (i64, i64) = self
            .reading("look for a mapped task", |tx| {
                step(
                    tx.query(
                        "select version_id, (select count(*) from task_instance where dag_run_id = $1 and task_id = $2
                            and map_index < 0 and state not in ('success', 'skipped', 'removed'))
                         from dag_run where id = $1",
                    )
                    .bind(run.0)
                    .bind(&pull.task_id)
                    .one(),
                )
            })
            .await?;
        let graph = self.dag_graph(DagVersionKey(version)).await?;
        let is_mapped = graph.index_of(&pull.task_id).is_some_and(|task| graph.scope_of(task).is_some());
        Ok((is_mapped && open == 0).then(|| Value::Array(Vec::new())))
    }

    async fn pull_from(&self, run: DagRunKey, pull: &XComPull) -> Result<Option<Value>> {
        if let XComInstances::One(map_index) = pull.instances {
            return self.xcom(run, &pull.task_id, map_index, &pull.key).await;
        }
        let rows: Vec<(i64, String)> = self
            .reading("pull XComs", |tx| {
                step(
                    tx.query(
                        "select map_index, value from xcom where dag_run_id = $1 and task_id = $2 and key = $3
                         order by map_index",
                    )
                    .bind(run.0)
                    .bind(&pull.task_id)
                    .bind(&pull.key)
                    .all(),
                )
            })
            .await?;
        let rows = rows
            .into_iter()
            .map(|(map_index, text)| Ok((map_index, parse(&text)?)))
            .collect::<Result<Vec<(i64, Value)>>>()?;
        Ok(gathered(&pull.instances, rows))
    }

    /// The newest run of the same DAG with an earlier logical date in which the value is there.
    async fn earlier_run_with_xcom(&self, run: DagRunKey, pull: &XComPull) -> Result<Option<DagRunKey>> {
        let map_index = match pull.instances {
            XComInstances::One(map_index) => Some(map_index),
            XComInstances::All | XComInstances::Several(_) => None,
        };
        let earlier: Option<i64> = self
            .reading("look for an XCom of an earlier run", |tx| {
                step(
                    tx.query(
                        "select r.id from dag_run r join dag_run here on here.id = $1 and here.dag_id = r.dag_id
                         where r.logical_date < here.logical_date and exists (
                            select 1 from xcom x where x.dag_run_id = r.id and x.task_id = $2 and x.key = $3
                                and (cast($4 as bigint) is null or x.map_index = $4))
                         order by r.logical_date desc, r.id desc limit 1",
                    )
                    .bind(run.0)
                    .bind(&pull.task_id)
                    .bind(&pull.key)
                    .bind(map_index)
                    .optional_scalar(),
                )
            })
            .await?;
        Ok(earlier.map(DagRunKey))
    }

    async fn sibling_run(&self, run: DagRunKey, run_id: &str) -> Result<Option<DagRunKey>> {
        let sibling: Option<i64> = self
            .reading("look for a run", |tx| {
                step(
                    tx.query(
                        "select r.id from dag_run r join dag_run here on here.id = $1 and here.dag_id = r.dag_id
                         where r.run_id = $2",
                    )
                    .bind(run.0)
                    .bind(run_id)
                    .optional_scalar(),
                )
            })
            .await?;
        Ok(sibling.map(DagRunKey))
    }

    /// Lets a person create, replace or delete a value that a task has left.
    ///
    /// # Errors
    /// There is no such task instance or value; there is one already; the task has not succeeded, so that its values are
    /// still its own; key or value is not usable; or the database failed.
    pub async fn change_xcom(
        &self,
        now: Timestamp,
        place: XComPlace<'_>,
        change: XComChange<'_>,
        principal: &str,
    ) -> Result<()> {
        let XComPlace { run, task_id, map_index, key } = place;
        let text = &match change {
            XComChange::Create(value) | XComChange::Replace(value) => {
                check_xcom_key(key).map_err(StoreError::Conflict)?;
                Some(usable_text(key, value)?)
            }
            XComChange::Delete => None,
        };
        self.transaction("change an XCom", |tx| {
            steps(async move {
                // Clearing a task takes the same lock, so that no value outlives the epoch that it belongs to.
                tx.query(statement!("lock_run")).bind(run.0).optional::<LockedRun>().await?;
                let instance = tx
                    .query(
                        "select id, epoch, state from task_instance
                         where dag_run_id = $1 and task_id = $2 and map_index = $3",
                    )
                    .bind(run.0)
                    .bind(task_id)
                    .bind(map_index)
                    .optional()
                    .await?;
                let is_there: bool = tx
                    .query(
                        "select count(*) > 0 from xcom
                         where dag_run_id = $1 and task_id = $2 and map_index = $3 and key = $4",
                    )
                    .bind(run.0)
                    .bind(task_id)
                    .bind(map_index)
                    .bind(key)
                    .scalar()
                    .await?;
                let (id, epoch) = may_change(place, change, instance, is_there)?;
                let statement = match text {
                Some(_) => {
                    "insert into xcom (dag_run_id, task_id, map_index, key, value, task_instance_id, epoch, created_at)
                     values ($1, $2, $3, $4, $5, $6, $7, $8)
                     on conflict (dag_run_id, task_id, map_index, key) do update set
                        value = excluded.value, created_at = excluded.created_at"
                }
                None => "delete from xcom where dag_run_id = $1 and task_id = $2 and map_index = $3 and key = $4",
            };
                let mut query = tx.query(statement).bind(run.0).bind(task_id).bind(map_index).bind(key);
                if let Some(text) = text {
                    query = query.bind(text).bind(id).bind(epoch).bind(now.as_micros());
                }
                query.execute().await?;
                let action = if text.is_some() { "set_xcom" } else { "delete_xcom" };
                let object = format!("task instance {id}: {key}");
                audit_log::record(tx, now, Deed { principal, action, object: &object, detail: None }).await
            })
        })
        .await
    }
}

/// Whether the value may be changed: the key and epoch of its task instance.
fn may_change(
    place: XComPlace<'_>,
    change: XComChange<'_>,
    instance: Option<(i64, i64, String)>,
    is_there: bool,
) -> Result<(i64, i64)> {
    let XComPlace { task_id, key, map_index, .. } = place;
    let Some((id, epoch, state)) = instance else {
        let index = if map_index >= 0 { format!("[{map_index}]") } else { String::new() };
        return Err(StoreError::NotFound { what: "task instance", name: format!("{task_id}{index}") });
    };
    if state != "success" {
        return Err(StoreError::Conflict(format!(
            "task `{task_id}` is {state}: only values of a task that has succeeded can be changed; hint: mark it as success first"
        )));
    }
    match change {
        XComChange::Create(_) if is_there => {
            Err(StoreError::Conflict(format!("task `{task_id}` has an XCom `{key}` already; hint: replace it")))
        }
        XComChange::Replace(_) | XComChange::Delete if !is_there => {
            Err(StoreError::NotFound { what: "XCom", name: key.to_owned() })
        }
        _ => Ok((id, epoch)),
    }
}

/// Checks a key.
///
/// # Errors
/// In words, with a hint: it is empty, too long, or holds characters that its file cannot.
pub fn check_xcom_key(key: &str) -> std::result::Result<(), String> {
    if key.is_empty() || is_step(key) || key.len() > XCOM_KEY_BYTES_MAX || key.contains(['=', '\n', '\r', '\0']) {
        let shown: String = key.chars().take(60).collect();
        return Err(format!(
            "`{}` cannot be the key of an XCom; hint: a key has 1 to {XCOM_KEY_BYTES_MAX} bytes, no `=` and no line break, and is not `.` or `..`",
            shown.escape_debug()
        ));
    }
    Ok(())
}

/// Checks the size of a value, in bytes of its JSON.
///
/// # Errors
/// In words, with a hint: it is larger than an XCom may be.
pub fn check_xcom_size(key: &str, bytes: usize) -> std::result::Result<(), String> {
    if bytes <= XCOM_BYTES_MAX {
        return Ok(());
    }
    Err(format!(
        "the XCom `{key}` has {bytes} bytes, which is more than {} MiB; hint: keep it in an artifact or an object store, and its place in the XCom",
        XCOM_BYTES_MAX >> 20
    ))
}

fn usable_text(key: &str, value: &Value) -> Result<String> {
    let text = json_text(value);
    check_xcom_size(key, text.len()).map_err(StoreError::Conflict)?;
    Ok(text)
}

fn parse(text: &str) -> Result<Value> {
    serde_json::from_str(text).map_err(|error| StoreError::Corrupt { what: "XCom", why: error.to_string() })
}

/// One value or a list, from the values of a task in map order.
fn gathered(instances: &XComInstances, mut rows: Vec<(i64, Value)>) -> Option<Value> {
    if rows.is_empty() {
        return None;
    }
    match instances {
        XComInstances::All if rows[0].0 < 0 => Some(rows.swap_remove(0).1),
        XComInstances::All => Some(Value::Array(rows.into_iter().map(|(_, value)| value).collect())),
        XComInstances::One(wanted) => {
            rows.into_iter().find(|(map_index, _)| map_index == wanted).map(|(_, value)| value)
        }
        XComInstances::Several(wanted) => {
            let find =
                |index: &i64| rows.iter().find(|(map_index, _)| map_index == index).map(|(_, value)| value.clone());
            Some(Value::Array(wanted.iter().filter_map(find).collect()))
        }
    }
}
