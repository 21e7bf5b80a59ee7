//! Pools: named numbers of slots that tasks share.

use flow_model::Timestamp;
use serde::Serialize;

use crate::audit_log::{self, Deed};
use crate::connect::Store;
use crate::error::{Result, StoreError};
use crate::transaction::{step, steps};

/// A pool and how full it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, sqlx::FromRow)]
pub struct Pool {
    /// Its name.
    pub name: String,
    /// Its slots; -1 is unlimited.
    pub slots: i64,
    /// What it is for.
    pub description: Option<String>,
    /// Slots held by running task instances.
    pub running_slots: i64,
    /// Slots held by queued task instances.
    pub queued_slots: i64,
}

impl Store {
    /// All pools with what is used of them, counted from live rows.
    ///
    /// # Errors
    /// The database failed.
    pub async fn pools_in_use(&self) -> Result<Vec<Pool>> {
        self.reading("list pools", |tx| {
            step(
                tx.query(
                    "select p.name, p.slots, p.description,
                        cast(coalesce(sum(case when t.state = 'running' then t.pool_slots end), 0) as bigint)
                            as running_slots,
                        cast(coalesce(sum(case when t.state = 'queued' then t.pool_slots end), 0) as bigint)
                            as queued_slots
                     from pool p
                     left join task_instance t on t.pool = p.name and t.state in ('queued', 'running')
                     group by p.name, p.slots, p.description
                     order by p.name",
                )
                .all(),
            )
        })
        .await
    }

    /// Creates a pool or changes its slots; -1 is unlimited. What runs goes on when slots become fewer.
    ///
    /// # Errors
    /// The number of slots is not usable, or the database failed.
    pub async fn set_pool(
        &self,
        now: Timestamp,
        name: &str,
        slots: i64,
        description: Option<&str>,
        principal: &str,
    ) -> Result<()> {
        if slots < -1 {
            return Err(StoreError::Conflict(format!(
                "pool `{name}` cannot have {slots} slots; hint: use 0 or more, or -1 for unlimited"
            )));
        }
        self.transaction("set a pool", |tx| {
            steps(async move {
                tx.query(
                    "insert into pool (name, slots, description) values ($1, $2, $3)
                     on conflict (name) do update set slots = excluded.slots,
                        description = coalesce(excluded.description, pool.description)",
                )
                .bind(name)
                .bind(slots)
                .bind(description)
                .execute()
                .await?;
                let detail = format!("slots = {slots}");
                let deed = Deed { principal, action: "set_pool", object: name, detail: Some(&detail) };
                audit_log::record(tx, now, deed).await
            })
        })
        .await
    }
}
