//! Questions that tasks ask people: the list of those that are open, and the form on the task's page that answers one.

use askama::Template;
use axum::Form;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect};
use flow_model::params::ParamProblem;
use flow_model::question::{Answer, CHOSEN_OPTIONS};
use flow_store::read::{Page, QuestionFilter, QuestionRecord};
use serde::Deserialize;

use super::form::{Given, Section, Widget, read_values, sections};
use super::frame::{dag_path, run_path, show_with, task_path};
use super::mark::Time;
use super::{Frame, PageResult, show};
use crate::api::{answer as answer_question, find_instance, find_run};
use crate::error::{WebError, WebResult};
use crate::extract::ApiQuery;
use crate::markdown::markdown;
use crate::state::App;

/// Rows of the list.
const ROWS: i64 = 100;

#[derive(Template)]
#[template(path = "questions.html")]
struct QuestionsPage {
    frame: Frame,
    open: Vec<Row>,
    answered: Vec<Row>,
}

struct Row {
    subject: String,
    path: String,
    dag_id: String,
    dag_path: String,
    run_id: String,
    run_path: String,
    assignees: String,
    is_mine: bool,
    asked: Time,
    deadline: Option<Time>,
    answer: String,
}

pub(super) async fn page(State(app): State<App>, frame: Frame) -> PageResult {
    let listed = async |is_answered: bool| {
        let filter = QuestionFilter { is_answered: Some(is_answered), ..QuestionFilter::default() };
        app.store.list_questions(&filter, Page::first(ROWS)).await
    };
    let (open, _) = listed(false).await?;
    let (answered, _) = listed(true).await?;
    show(&QuestionsPage {
        open: open.iter().map(|asked| row(asked, &frame.principal)).collect(),
        answered: answered.iter().map(|asked| row(asked, &frame.principal)).collect(),
        frame,
    })
}

fn row(asked: &QuestionRecord, principal: &str) -> Row {
    Row {
        subject: asked.question.subject.clone(),
        path: answer_path(asked),
        dag_path: dag_path(&asked.dag_id),
        dag_id: asked.dag_id.clone(),
        run_path: run_path(&asked.dag_id, &asked.run_id),
        run_id: asked.run_id.clone(),
        assignees: asked.question.assignees.join(", "),
        is_mine: asked.question.may_answer(principal),
        asked: asked.created_at.into(),
        deadline: asked.question.deadline_at.map(Time::from),
        answer: answer_text(asked),
    }
}

fn answer_path(asked: &QuestionRecord) -> String {
    let path = task_path(&asked.dag_id, &asked.run_id, &asked.task_id);
    if asked.map_index < 0 { format!("{path}/answer") } else { format!("{path}/answer?map_index={}", asked.map_index) }
}

fn answer_text(asked: &QuestionRecord) -> String {
    let answer = Answer {
        chosen_options: asked.chosen_options.clone().and_then(|it| serde_json::from_value(it).ok()).unwrap_or_default(),
        params_input: asked.params_input.clone().and_then(|it| serde_json::from_value(it).ok()).unwrap_or_default(),
    };
    match &asked.responded_by {
        Some(who) => format!("{} (by {who})", answer.summary()),
        None => format!("{} (nobody answered in time)", answer.summary()),
    }
}

/// The question on the task's page.
pub(super) struct QuestionBlock {
    pub(super) subject: String,
    /// HTML, made from Markdown.
    pub(super) body: String,
    pub(super) action: String,
    pub(super) options: Vec<OptionChoice>,
    pub(super) multiple: bool,
    pub(super) sections: Vec<Section>,
    pub(super) assignees: String,
    pub(super) may_answer: bool,
    pub(super) deadline: Option<Time>,
    pub(super) on_timeout: String,
    /// What the options that refuse do, and which they are.
    pub(super) on_refusal: String,
    /// How it was answered; empty while it is open.
    pub(super) answer: String,
    pub(super) is_open: bool,
    pub(super) option_problem: String,
    pub(super) problem: String,
}

/// A button or a box to tick.
pub(super) struct OptionChoice {
    pub(super) label: String,
    pub(super) is_chosen: bool,
    pub(super) rejects: bool,
}

impl QuestionBlock {
    /// The form, with what was typed before and what is wrong with it.
    pub(super) fn new(
        asked: &QuestionRecord,
        principal: &str,
        given: &Given,
        error: Option<&WebError>,
    ) -> QuestionBlock {
        let question = &asked.question;
        let problems = error.map_or(&[][..], |error| &error.problems);
        let of = |problem: &&ParamProblem| problem.name == CHOSEN_OPTIONS;
        let chosen = given.all("option");
        QuestionBlock {
            subject: question.subject.clone(),
            body: question.body.as_deref().map(markdown).unwrap_or_default(),
            action: answer_path(asked),
            options: question
                .options
                .iter()
                .map(|option| OptionChoice {
                    label: option.clone(),
                    is_chosen: chosen.contains(&option.as_str()),
                    rejects: question.rejects.contains(option),
                })
                .collect(),
            multiple: question.multiple,
            sections: sections(&question.params, given, problems),
            assignees: question.assignees.join(", "),
            may_answer: question.may_answer(principal),
            deadline: question.deadline_at.map(Time::from),
            on_timeout: match &question.default {
                Some(default) if default.chosen_options.is_empty() => "the defaults of the fields count".to_owned(),
                Some(default) => format!("“{}” counts as chosen", default.chosen_options.join(", ")),
                None => "the task fails".to_owned(),
            },
            on_refusal: match (question.rejects.join(", "), question.fail_on_reject) {
                (rejects, _) if rejects.is_empty() => String::new(),
                (rejects, true) => format!("“{rejects}” fails the task."),
                (rejects, false) => format!("“{rejects}” skips the task, and with it what needs its success."),
            },
            answer: if asked.responded_at.is_some() { answer_text(asked) } else { String::new() },
            is_open: asked.closed_at.is_none(),
            option_problem: problems.iter().find(of).map(|problem| problem.message.clone()).unwrap_or_default(),
            problem: error.map_or_else(String::new, |error| match &error.hint {
                Some(hint) => format!("{}; {hint}", error.detail),
                None => error.detail.clone(),
            }),
        }
    }
}

#[derive(Template)]
#[template(path = "answer.html")]
struct AnswerPage {
    frame: Frame,
    task_id: String,
    path: String,
    dag_id: String,
    dag_path: String,
    run_id: String,
    run_path: String,
    question: Option<QuestionBlock>,
}

impl AnswerPage {
    /// The page of a task: DAG, run and task.
    fn new(frame: Frame, (dag_id, run_id, task_id): (String, String, String), question: Option<QuestionBlock>) -> Self {
        let (dag_path, run_path) = (dag_path(&dag_id), run_path(&dag_id, &run_id));
        let path = task_path(&dag_id, &run_id, &task_id);
        AnswerPage { frame, task_id, path, dag_id, dag_path, run_id, run_path, question }
    }
}

#[derive(Deserialize)]
pub(super) struct Query {
    map_index: Option<i64>,
}

pub(super) async fn one(
    State(app): State<App>,
    frame: Frame,
    Path((dag_id, run_id, task_id)): Path<(String, String, String)>,
    ApiQuery(query): ApiQuery<Query>,
) -> PageResult {
    let run = find_run(&app, &dag_id, &run_id).await?;
    let instance = find_instance(&app, &run, &task_id, query.map_index.unwrap_or(-1)).await?;
    let asked = app.store.find_question(instance.id).await?;
    let question = asked.map(|asked| QuestionBlock::new(&asked, &frame.principal, &Given::default(), None));
    show(&AnswerPage::new(frame, (dag_id, run_id, task_id), question))
}

pub(super) async fn answer(
    State(app): State<App>,
    frame: Frame,
    Path((dag_id, run_id, task_id)): Path<(String, String, String)>,
    ApiQuery(query): ApiQuery<Query>,
    Form(form): Form<Vec<(String, String)>>,
) -> PageResult {
    let given = Given(form);
    let run = find_run(&app, &dag_id, &run_id).await?;
    let instance = find_instance(&app, &run, &task_id, query.map_index.unwrap_or(-1)).await?;
    let asked = app.store.find_question(instance.id).await?;
    let Some(asked) = asked else {
        return Err(WebError::not_found(format!("task `{task_id}` has asked nothing")).into());
    };
    let path = task_path(&dag_id, &run_id, &task_id);
    let outcome: WebResult<()> = match read(&asked, &given) {
        Ok(answer) => answer_question(&app, &instance, &answer, &frame.principal).await,
        Err(error) => Err(error),
    };
    let error = match outcome {
        Ok(()) => return Ok(Redirect::to(&path).into_response()),
        Err(error) => error,
    };
    // Somebody else may have been faster meanwhile: the page shows what holds now.
    let asked = app.store.find_question(instance.id).await?;
    let question = asked.as_ref().map(|asked| QuestionBlock::new(asked, &frame.principal, &given, Some(&error)));
    show_with(error.status, &AnswerPage::new(frame, (dag_id, run_id, task_id), question))
}

fn read(asked: &QuestionRecord, given: &Given) -> WebResult<Answer> {
    let (params_input, problems) = read_values(&asked.question.params, given);
    if !problems.is_empty() {
        return Err(WebError { problems, ..WebError::unprocessable("the answer does not fit the question") });
    }
    let chosen_options = given.all("option").into_iter().map(str::to_owned).collect();
    Ok(Answer { chosen_options, params_input })
}
