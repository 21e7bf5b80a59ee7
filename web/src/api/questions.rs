//! Questions that tasks ask people, in the shapes of Airflow's `hitlDetails`.

use axum::Json;
use axum::extract::{Path, State};
use flow_model::limits::ROWS_PER_PAGE_MAX;
use flow_model::question::{Answer, Question};
use flow_store::read::{Page, QuestionFilter, QuestionRecord, TaskInstanceRecord};
use serde::Deserialize;
use serde_json::{Value, json};

use super::LIMIT;
use super::runs::{ALL_BELLS, find as find_run};
use super::task_instances::find as find_instance;
use crate::auth::Principal;
use crate::error::{WebError, WebResult};
use crate::extract::{ApiJson, ApiQuery};
use crate::state::App;

/// The path of a question: DAG, run, task, map index.
type QuestionPath = Path<(String, String, String, i64)>;

#[derive(Deserialize)]
pub(super) struct ListQuery {
    limit: Option<i64>,
    offset: Option<i64>,
    task_id: Option<String>,
    map_index: Option<i64>,
    response_received: Option<bool>,
    responded_by_user_name: Option<String>,
    subject_search: Option<String>,
}

/// The DAG and the run may be `~`: all of them.
pub(super) async fn list(
    State(app): State<App>,
    Path((dag_id, run_id)): Path<(String, String)>,
    ApiQuery(query): ApiQuery<ListQuery>,
) -> WebResult {
    let run = match (dag_id.as_str(), run_id.as_str()) {
        (_, "~") => None,
        ("~", _) => {
            return Err(WebError::unprocessable("a run is named together with its DAG")
                .hint("use `~` for both, or name the DAG, too"));
        }
        (dag_id, run_id) => Some(find_run(&app, dag_id, run_id).await?.id),
    };
    let filter = QuestionFilter {
        dag_id: (dag_id != "~").then_some(dag_id),
        run,
        task_id: query.task_id,
        map_index: query.map_index,
        is_answered: query.response_received,
        responded_by: query.responded_by_user_name,
        subject: query.subject_search,
    };
    let page = Page::new(query.limit.unwrap_or(LIMIT), query.offset.unwrap_or(0), ROWS_PER_PAGE_MAX);
    let (questions, total) = app.store.list_questions(&filter, page).await?;
    let details: Vec<Value> = questions.iter().map(question_json).collect();
    Ok(Json(json!({ "hitl_details": details, "total_entries": total })))
}

pub(super) async fn one(State(app): State<App>, Path((dag_id, run_id, task_id, map_index)): QuestionPath) -> WebResult {
    let run = find_run(&app, &dag_id, &run_id).await?;
    let instance = find_instance(&app, &run, &task_id, map_index).await?;
    Ok(Json(question_json(&find(&app, &instance).await?)))
}

async fn find(app: &App, instance: &TaskInstanceRecord) -> WebResult<QuestionRecord> {
    app.store.find_question(instance.id).await?.ok_or_else(|| {
        WebError::not_found(format!("task `{}` has asked nothing in the run `{}`", instance.task_id, instance.run_id))
            .hint("tasks with `approval` or `form` ask when they are started")
    })
}

#[derive(Deserialize)]
pub(super) struct AnswerBody {
    #[serde(flatten)]
    answer: Answer,
}

pub(super) async fn respond(
    State(app): State<App>,
    Path((dag_id, run_id, task_id, map_index)): QuestionPath,
    principal: Principal,
    ApiJson(body): ApiJson<AnswerBody>,
) -> WebResult {
    let run = find_run(&app, &dag_id, &run_id).await?;
    let instance = find_instance(&app, &run, &task_id, map_index).await?;
    answer(&app, &instance, &body.answer, &principal.0).await?;
    let answered = find(&app, &instance).await?;
    Ok(Json(json!({
        "responded_by": user_json(answered.responded_by.as_deref()),
        "responded_at": answered.responded_at,
        "chosen_options": answered.chosen_options,
        "params_input": answered.params_input,
    })))
}

/// Takes an answer and lets the task go on.
pub(crate) async fn answer(
    app: &App,
    instance: &TaskInstanceRecord,
    answer: &Answer,
    principal: &str,
) -> WebResult<()> {
    let asked = find(app, instance).await?;
    // What does not fit an open question is told field by field.
    if asked.closed_at.is_none()
        && asked.question.may_answer(principal)
        && let Err(problems) = asked.question.complete(answer)
    {
        let count = problems.len();
        let noun = if count == 1 { "value does" } else { "values do" };
        return Err(WebError {
            problems,
            ..WebError::unprocessable(format!("{count} {noun} not fit the question of task `{}`", instance.task_id))
        });
    }
    app.store.answer_question(app.store.now(), instance.id, answer, principal).await?;
    app.ring(ALL_BELLS).await;
    Ok(())
}

fn question_json(asked: &QuestionRecord) -> Value {
    let Question { subject, body, options, multiple, params, assignees, default, deadline_at, .. } = &asked.question;
    json!({
        "task_instance": {
            "dag_id": asked.dag_id,
            "dag_run_id": asked.run_id,
            "task_id": asked.task_id,
            "map_index": asked.map_index,
            "try_number": asked.try_number,
            "state": if asked.closed_at.is_none() { Some("awaiting_input") } else { None },
        },
        "subject": subject,
        "body": body,
        "options": options,
        "multiple": multiple,
        "defaults": default.as_ref().map(|default| &default.chosen_options),
        "params": params,
        "assigned_users": assignees.iter().map(|name| user_json(Some(name))).collect::<Vec<_>>(),
        "created_at": asked.created_at,
        "deadline": deadline_at,
        "response_received": asked.responded_at.is_some(),
        "responded_by_user": user_json(asked.responded_by.as_deref()),
        "responded_at": asked.responded_at,
        "chosen_options": asked.chosen_options,
        "params_input": asked.params_input,
    })
}

fn user_json(name: Option<&str>) -> Value {
    name.map_or(Value::Null, |name| json!({ "id": name, "name": name }))
}
