//! Where an attempt runs, and where people see it.

use flow_store::WorkOrder;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// Characters that stand for themselves in a segment of a path.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// What templates may say about the place of an attempt.
#[derive(Debug, Clone, Default)]
pub struct AttemptPlace {
    /// The machine.
    pub host: String,
    /// Where people see the pages, without a slash at the end; `None`: nobody has said.
    pub pages_url: Option<String>,
}

impl AttemptPlace {
    /// The page of a task instance, which has its log.
    pub fn log_url(&self, order: &WorkOrder) -> Option<String> {
        let base = self.pages_url.as_deref()?;
        let [dag, run, task] = [&order.graph.dag.dag_id, &order.run_id, &order.task().task_id]
            .map(|text| utf8_percent_encode(text, SEGMENT));
        let query = if order.map_index < 0 { String::new() } else { format!("&map_index={}", order.map_index) };
        Some(format!("{base}/dags/{dag}/runs/{run}/tasks/{task}?try={}{query}", order.try_number))
    }
}
