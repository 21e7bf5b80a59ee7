//! The `trigger_dag` operator: what to start.

use flow_model::operator::TriggerDag;
use serde_json::{Map, Value, json};

use crate::template::{Renderer, TemplateError};

/// A run to start.
#[derive(Debug)]
pub struct TriggerDagWork {
    /// The operator, its templates rendered.
    pub asked: TriggerDag,
}

pub(super) fn prepare(
    asked: &TriggerDag,
    renderer: &Renderer,
    rendered: &mut Map<String, Value>,
) -> Result<TriggerDagWork, TemplateError> {
    let optional =
        |field: &str, text: &Option<String>| text.as_ref().map(|text| renderer.text(field, text)).transpose();
    let conf = match renderer.json("conf", &Value::Object(asked.conf.clone()))? {
        Value::Object(conf) => conf,
        _ => Map::new(),
    };
    let asked = TriggerDag {
        trigger_dag_id: renderer.text("trigger_dag_id", &asked.trigger_dag_id)?,
        trigger_run_id: optional("trigger_run_id", &asked.trigger_run_id)?,
        logical_date: optional("logical_date", &asked.logical_date)?,
        conf,
        ..asked.clone()
    };
    rendered.insert("trigger_dag_id".to_owned(), json!(asked.trigger_dag_id));
    rendered.insert("conf".to_owned(), json!(asked.conf));
    Ok(TriggerDagWork { asked })
}
