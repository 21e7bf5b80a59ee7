//! The run before: what templates ask of the last success of their DAG.

use flow_model::{DagRunKey, Timestamp};

use crate::connect::Store;
use crate::error::Result;
use crate::transaction::step;

/// The newest run of the same DAG with an earlier logical date that has succeeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PreviousSuccess {
    /// The time that it covered, if it had a data interval.
    pub data_interval: Option<(Timestamp, Timestamp)>,
    /// When it began.
    pub started_at: Option<Timestamp>,
    /// When it was over.
    pub ended_at: Option<Timestamp>,
}

impl Store {
    /// The last success before a run; `None` if there is none, or if the run has no logical date.
    ///
    /// # Errors
    /// The database failed.
    pub async fn previous_success(&self, run: DagRunKey) -> Result<Option<PreviousSuccess>> {
        type Row = (Option<i64>, Option<i64>, Option<i64>, Option<i64>);
        let found: Option<Row> = self
            .reading("look for the last success", |tx| {
                step(
                    tx.query(
                        "select r.data_interval_start, r.data_interval_end, r.started_at, r.ended_at
                         from dag_run r join dag_run here on here.id = $1 and here.dag_id = r.dag_id
                         where r.logical_date < here.logical_date and r.state = 'success'
                         order by r.logical_date desc, r.id desc limit 1",
                    )
                    .bind(run.0)
                    .optional(),
                )
            })
            .await?;
        Ok(found.map(|(start, end, started_at, ended_at)| PreviousSuccess {
            data_interval: start
                .zip(end)
                .map(|(start, end)| (Timestamp::from_micros(start), Timestamp::from_micros(end))),
            started_at: started_at.map(Timestamp::from_micros),
            ended_at: ended_at.map(Timestamp::from_micros),
        }))
    }
}
