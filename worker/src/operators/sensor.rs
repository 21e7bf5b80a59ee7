//! Sensors: what they wait for, rendered. The worker only renders and defers; looking is the triggerer's work, except where
//! the look is a program of its own.

use std::collections::BTreeMap;
use std::time::Duration;

use flow_model::Task;
use flow_model::deferral::Trigger;
use flow_model::operator::Operator;
use flow_model::operator::sensor::{
    ExternalTaskSensor, FileSensor, HttpSensor, RedisStreamSensor, SqlSensor, Waiting, WeekDay,
};
use serde_json::{Map, Value, json};

use super::process::{self, Input, ProcessWork};
use super::sql::{Statements, statements};
use crate::template::{Renderer, TemplateError};

/// A sensor with every template rendered.
#[derive(Debug)]
pub struct SensorWork {
    /// What it waits for.
    pub look: Look,
    /// How it waits.
    pub waiting: Waiting,
}

/// What a sensor waits for. Instants follow from it once the try's own are known.
#[derive(Debug)]
pub enum Look {
    /// A time of day, in a zone.
    TimeOfDay {
        /// As it was written.
        time: String,
        /// IANA name.
        timezone: String,
    },
    /// An instant, as it was written.
    Instant(String),
    /// So long after the data interval.
    Delta(Duration),
    /// One of these days, in a zone.
    Day {
        /// The days.
        days: Vec<WeekDay>,
        /// IANA name.
        timezone: String,
    },
    /// What the triggerer looks at.
    Trigger(Trigger),
    /// A row, for a query that is bound once the language of its database is known.
    Row(Box<SqlSensor>, Statements),
    /// Entries of a stream.
    Entries(RedisStreamSensor),
    /// A run of another DAG.
    External(ExternalTaskSensor),
    /// A process that says by its exit code.
    Process(ProcessWork),
}

/// Renders a sensor; `None` for an operator that is none.
pub(super) fn prepare(
    task: &Task,
    operator: &Operator,
    renderer: &Renderer,
    rendered: &mut Map<String, Value>,
) -> Result<Option<SensorWork>, TemplateError> {
    let Some(waiting) = operator.waiting() else { return Ok(None) };
    let look = match operator {
        Operator::TimeSensor(sensor) => {
            let time = show(rendered, "target_time", renderer.text("target_time", &sensor.target_time)?);
            Look::TimeOfDay { time, timezone: sensor.timezone.clone() }
        }
        Operator::DateTimeSensor(sensor) => {
            Look::Instant(show(rendered, "target_time", renderer.text("target_time", &sensor.target_time)?))
        }
        Operator::TimeDeltaSensor(sensor) => Look::Delta(sensor.delta),
        Operator::DayOfWeekSensor(sensor) => {
            Look::Day { days: sensor.week_day.clone(), timezone: sensor.timezone.clone() }
        }
        Operator::FileSensor(sensor) => Look::Trigger(file(sensor, renderer, rendered)?),
        Operator::HttpSensor(sensor) => Look::Trigger(http(sensor, renderer, rendered)?),
        Operator::SqlSensor(sensor) => sql(sensor, renderer, rendered)?,
        Operator::RedisKeySensor(sensor) => {
            rendered.insert("connection".to_owned(), json!(sensor.connection));
            let key = show(rendered, "key", renderer.text("key", &sensor.key)?);
            Look::Trigger(Trigger::RedisKey { connection: sensor.connection.clone(), key })
        }
        Operator::RedisStreamSensor(sensor) => {
            rendered.insert("connection".to_owned(), json!(sensor.connection));
            let stream = show(rendered, "stream", renderer.text("stream", &sensor.stream)?);
            let after = match &sensor.after {
                Some(after) => Some(show(rendered, "after", renderer.text("after", after)?)),
                None => None,
            };
            Look::Entries(RedisStreamSensor { stream, after, ..sensor.clone() })
        }
        Operator::ExternalTaskSensor(sensor) => {
            let text = renderer.text("external_dag_id", &sensor.external_dag_id)?;
            let external_dag_id = show(rendered, "external_dag_id", text);
            let external_logical_date = match &sensor.external_logical_date {
                Some(at) => Some(show(rendered, "external_logical_date", renderer.text("external_logical_date", at)?)),
                None => None,
            };
            Look::External(ExternalTaskSensor { external_dag_id, external_logical_date, ..sensor.clone() })
        }
        Operator::CommandSensor(sensor) => {
            let input = Input { args: &[], stdin: sensor.stdin.as_deref() };
            let work = process::shell(task, &sensor.command, &input, &sensor.skip_on_exit_code, renderer, rendered)?;
            Look::Process(work)
        }
        _ => return Ok(None),
    };
    Ok(Some(SensorWork { look, waiting }))
}

fn file(sensor: &FileSensor, renderer: &Renderer, rendered: &mut Map<String, Value>) -> Result<Trigger, TemplateError> {
    Ok(Trigger::File {
        path: show(rendered, "filepath", renderer.path("filepath", &sensor.filepath, without_wildcards)?),
        recursive: sensor.recursive,
        min_size: sensor.min_size,
        min_age: sensor.min_age,
    })
}

fn http(sensor: &HttpSensor, renderer: &Renderer, rendered: &mut Map<String, Value>) -> Result<Trigger, TemplateError> {
    let pairs = |field: &str, entries: &BTreeMap<String, String>| {
        let one =
            |(name, value): (&String, &String)| Ok((name.clone(), renderer.text(&format!("{field}.{name}"), value)?));
        entries.iter().map(one).collect::<Result<BTreeMap<String, String>, TemplateError>>()
    };
    let mut headers = pairs("headers", &sensor.headers)?;
    let body = match (&sensor.body, &sensor.json) {
        (Some(body), _) => Some(show(rendered, "body", renderer.text("body", body)?)),
        (None, Some(json)) => {
            if !headers.keys().any(|name| name.eq_ignore_ascii_case("content-type")) {
                headers.insert("content-type".to_owned(), "application/json".to_owned());
            }
            Some(show(rendered, "body", renderer.json("json", json)?.to_string()))
        }
        (None, None) => None,
    };
    rendered.insert("method".to_owned(), json!(sensor.method));
    Ok(Trigger::Http {
        url: show(
            rendered,
            "url",
            renderer.url("url", &sensor.url, super::http::url_start(sensor.connection.as_deref()))?,
        ),
        connection: sensor.connection.clone(),
        method: sensor.method.clone(),
        headers,
        query: pairs("query", &sensor.query)?,
        body,
        expected_status: sensor.expected_status.clone(),
        check: sensor.response_check.clone(),
        failure_check: sensor.failure_check.clone(),
        timeout: sensor.request_timeout,
    })
}

fn sql(sensor: &SqlSensor, renderer: &Renderer, rendered: &mut Map<String, Value>) -> Result<Look, TemplateError> {
    let parameters = super::sql::parameters(&sensor.parameters, renderer)?;
    let query = statements("query", &sensor.query, None, renderer)?;
    rendered.insert("connection".to_owned(), json!(sensor.connection));
    rendered.insert("query".to_owned(), json!(query.shown()));
    rendered.insert("parameters".to_owned(), json!(parameters));
    let sensor = SqlSensor { parameters, ..sensor.clone() };
    Ok(match query.constant() {
        Some(text) => Look::Trigger(Trigger::Sql {
            connection: sensor.connection,
            query: text.to_owned(),
            parameters: sensor.parameters,
            fail_on_empty: sensor.fail_on_empty,
            timeout: sensor.query_timeout,
        }),
        None => Look::Row(Box::new(sensor), query),
    })
}

/// What a value holds is part of a name, never a wildcard.
fn without_wildcards(value: &str) -> String {
    value.chars().map(|c| if matches!(c, '*' | '?' | '[') { format!("[{c}]") } else { c.to_string() }).collect()
}

/// Keeps a rendered field for people.
fn show(rendered: &mut Map<String, Value>, field: &str, text: String) -> String {
    rendered.insert(field.to_owned(), json!(text));
    text
}
