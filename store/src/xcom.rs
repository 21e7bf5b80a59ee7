//! XComs: small values that tasks leave for others. They are written together with the success of their task.

use flow_model::DagRunKey;
use serde_json::Value;

use crate::connect::Store;
use crate::error::{Result, StoreError};
use crate::transaction::reading;

impl Store {
    /// The value that a task of the run left under `key`, if it has succeeded and left one.
    ///
    /// # Errors
    /// The database failed.
    pub async fn xcom(&self, run: DagRunKey, task_id: &str, map_index: i64, key: &str) -> Result<Option<Value>> {
        let text: Option<String> = reading!(self, "read an XCom", |tx| {
            sqlx::query_scalar(
                "select value from xcom where dag_run_id = $1 and task_id = $2 and map_index = $3 and key = $4",
            )
            .bind(run.0)
            .bind(task_id)
            .bind(map_index)
            .bind(key)
            .fetch_optional(&mut *tx)
            .await?
        })?;
        text.map(|text| {
            serde_json::from_str(&text).map_err(|error| StoreError::Corrupt { what: "XCom", why: error.to_string() })
        })
        .transpose()
    }
}
