//! The form that triggers a DAG, made from its params.

use askama::Template;
use axum::Form;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect};
use flow_model::Timestamp;
use flow_model::params::{ParamProblem, Params};
use flow_model::state::TriggeredBy;
use serde_json::{Map, Value};

use super::dag::Head;
use super::form::{Given, Section, Widget, read_values, sections, with_offset};
use super::frame::{run_path, show_with};
use super::{Frame, PageResult};
use crate::api::{Trigger, graph_of, trigger as trigger_run};
use crate::auth::Principal;
use crate::error::{WebError, WebResult};
use crate::state::App;
use crate::texts;

#[derive(Template)]
#[template(path = "trigger.html")]
struct TriggerPage {
    frame: Frame,
    head: Head,
    tab: &'static str,
    sections: Vec<Section>,
    run_id: String,
    note: String,
    logical_date: String,
    has_no_logical_date: bool,
    conf: String,
    conf_problem: String,
    logical_date_problem: String,
    interval: [IntervalEnd; 2],
    problem: String,
}

/// The names of the fields for the data interval, what they are called, and what they say.
const INTERVAL: [(&str, &str, &str); 2] = [
    ("data_interval_start", "Data interval begins", "Empty means the last complete interval before the logical date."),
    ("data_interval_end", "Data interval ends", "Both its ends, or neither."),
];

/// A field for one end of the data interval.
struct IntervalEnd {
    name: &'static str,
    label: &'static str,
    about: &'static str,
    value: String,
    problem: String,
}

impl TriggerPage {
    fn shown(
        frame: Frame,
        head: Head,
        params: &Params,
        given: &Given,
        status: StatusCode,
        error: Option<WebError>,
    ) -> PageResult {
        let problems = error.as_ref().map_or(&[][..], |error| &error.problems);
        let of = |name: &str| problems.iter().find(|problem| problem.name == name).map(|problem| &problem.message);
        let page = TriggerPage {
            sections: sections(params, given, problems),
            run_id: given.text("dag_run_id").to_owned(),
            note: given.text("note").to_owned(),
            logical_date: given.text("logical_date").to_owned(),
            has_no_logical_date: !given.text("no_logical_date").is_empty(),
            conf: given.text("conf").to_owned(),
            conf_problem: of("conf").cloned().unwrap_or_default(),
            logical_date_problem: of("logical_date").cloned().unwrap_or_default(),
            interval: INTERVAL.map(|(name, label, about)| IntervalEnd {
                name,
                label,
                about,
                value: given.text(name).to_owned(),
                problem: of(name).cloned().unwrap_or_default(),
            }),
            problem: error.map_or_else(String::new, |error| match error.hint {
                Some(hint) => format!("{}; {hint}", error.detail),
                None => error.detail,
            }),
            tab: "trigger",
            frame,
            head,
        };
        show_with(status, &page)
    }
}

pub(super) async fn page(State(app): State<App>, frame: Frame, Path(dag_id): Path<String>) -> PageResult {
    let dag = app.store.find_dag(&dag_id).await?;
    let graph = graph_of(&app, &dag).await?;
    TriggerPage::shown(frame, Head::from(&dag), &graph.dag.params, &Given::default(), StatusCode::OK, None)
}

pub(super) async fn submit(
    State(app): State<App>,
    frame: Frame,
    Path(dag_id): Path<String>,
    Form(form): Form<Vec<(String, String)>>,
) -> PageResult {
    let given = Given(form);
    let dag = app.store.find_dag(&dag_id).await?;
    let graph = graph_of(&app, &dag).await?;
    let outcome = match asked(&dag_id, &graph.dag.params, &given) {
        Ok(asked) => trigger_run(&app, &dag_id, asked, TriggeredBy::Ui, Principal(frame.principal.clone())).await,
        Err(error) => Err(error),
    };
    match outcome {
        Ok(created) => Ok(Redirect::to(&run_path(&dag_id, &created.run_id)).into_response()),
        Err(error) => TriggerPage::shown(frame, Head::from(&dag), &graph.dag.params, &given, error.status, Some(error)),
    }
}

/// What the form asks for. The JSON wins over the fields; with its own button it is all that counts.
fn asked(dag_id: &str, params: &Params, given: &Given) -> WebResult<Trigger> {
    let mut problems = Vec::new();
    let mut note = |name: &str, message: String| problems.push(ParamProblem { name: name.to_owned(), message });
    let json = conf_of(given.text("conf")).unwrap_or_else(|message| {
        note("conf", message);
        Map::new()
    });
    let logical_date = logical_date_of(given).unwrap_or_else(|message| {
        note("logical_date", message);
        None
    });
    let [data_interval_start, data_interval_end] = INTERVAL.map(|(name, ..)| {
        instant_of(given.text(name)).unwrap_or_else(|message| {
            note(name, message);
            None
        })
    });
    let mut conf = Map::new();
    if given.text("only") != "conf" {
        let (values, found) = read_values(params, given);
        conf = values;
        problems.extend(found.into_iter().filter(|problem| !json.contains_key(&problem.name)));
    }
    if !problems.is_empty() {
        return Err(WebError::params(dag_id, problems));
    }
    conf.extend(json);
    let some = |name: &str| Some(given.text(name).to_owned()).filter(|text| !text.is_empty());
    Ok(Trigger {
        dag_run_id: some("dag_run_id"),
        note: some("note"),
        conf: Some(conf),
        logical_date,
        data_interval_start,
        data_interval_end,
        ..Trigger::default()
    })
}

fn conf_of(text: &str) -> Result<Map<String, Value>, String> {
    if text.is_empty() {
        return Ok(Map::new());
    }
    match texts::json_inside(text)? {
        Value::Object(conf) => Ok(conf),
        _ => Err("the configuration is a JSON object: `{ \"name\": value }`".to_owned()),
    }
}

/// `None`: now; `Some(None)`: the run has none.
fn logical_date_of(given: &Given) -> Result<Option<Option<Timestamp>>, String> {
    let text = given.text("logical_date");
    match (given.text("no_logical_date"), text) {
        ("", text) => Ok(instant_of(text)?.map(Some)),
        (_, "") => Ok(Some(None)),
        _ => Err("a run has a logical date or none: leave the date empty, or take the tick away".to_owned()),
    }
}

/// The instant that is written, if any.
fn instant_of(text: &str) -> Result<Option<Timestamp>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    let instant = with_offset(text).parse();
    instant.map(Some).map_err(|_| format!("`{text}` is no date and time such as `2026-01-31T06:00`"))
}
