//! Questions that tasks ask people.

use std::time::Duration;

use flow_model::question::{Answer, Question};
use flow_store::read::{Page, QuestionFilter, QuestionRecord};
use flow_store::{ClearRequest, Mark, MarkRequest, OutcomeKind, Recorded, Selection, StoreError, WorkOrder};
use serde_json::{Value, json};

use crate::bench::Bench;
use crate::dags::shaped;

cases!(
    an_answer_lets_the_task_succeed_with_its_values,
    a_refusal_skips_or_fails,
    of_two_answers_one_counts,
    only_assignees_answer,
    an_answer_that_does_not_fit_changes_nothing,
    without_an_answer_the_default_counts_or_the_task_fails,
    a_task_that_stops_waiting_closes_its_question,
    questions_are_listed_and_counted,
);

fn approval() -> Question {
    Question {
        subject: "Deploy 100%?".to_owned(),
        options: vec!["Approve".to_owned(), "Reject".to_owned()],
        rejects: vec!["Reject".to_owned()],
        params: serde_json::from_value(json!({ "share": { "type": "number", "default": 1, "maximum": 1 } })).unwrap(),
        ..Question::default()
    }
}

fn chose(option: &str) -> Answer {
    Answer { chosen_options: vec![option.to_owned()], ..Answer::default() }
}

/// The task `ask` waits for an answer; `after` comes after it.
async fn asking(bench: &Bench, question: Question) -> WorkOrder {
    bench.publish(shaped("d", &["ask", "after < ask"])).await;
    bench.trigger("d", "r").await;
    let order = bench.claim_one().await;
    assert_eq!(bench.report(&order, OutcomeKind::AwaitingInput(Box::new(question))).await, Recorded::Applied);
    bench.settle().await;
    assert_eq!(bench.states().await, ["r ask awaiting_input", "r after none"]);
    order
}

async fn respond(bench: &Bench, order: &WorkOrder, answer: &Answer, who: &str) -> Result<Answer, StoreError> {
    bench.store.answer_question(bench.now(), order.task_instance, answer, who).await
}

async fn record(bench: &Bench, order: &WorkOrder) -> QuestionRecord {
    bench.store.find_question(order.task_instance).await.unwrap().unwrap()
}

async fn an_answer_lets_the_task_succeed_with_its_values(bench: Bench) {
    let order = asking(&bench, approval()).await;
    bench.pass(5);
    let answer: Answer =
        serde_json::from_value(json!({ "chosen_options": ["Approve"], "params_input": { "share": 0.5 } })).unwrap();
    assert_eq!(respond(&bench, &order, &answer, "ada").await.unwrap(), answer);
    let xcom = async |key| bench.store.xcom(order.run, "ask", -1, key).await.unwrap();
    assert_eq!(xcom("return_value").await, Some(json!(answer)));
    assert_eq!(xcom("chosen_options").await, Some(json!(["Approve"])));
    assert_eq!(xcom("params_input").await, Some(json!({ "share": 0.5 })));
    let kept = record(&bench, &order).await;
    assert_eq!(kept.chosen_options, Some(json!(["Approve"])));
    assert_eq!((kept.responded_by.as_deref(), kept.responded_at), (Some("ada"), Some(bench.now())));
    assert_eq!(kept.closed_at, Some(bench.now()));
    assert_eq!(bench.raw.texts("select principal || ' ' || action from audit_log").await, ["ada answer"]);
    let who =
        "select actor || ' ' || actor_id || ' ' || reason from task_instance_event where from_state = 'awaiting_input'";
    assert_eq!(bench.raw.texts(who).await, ["user ada answered"]);
    bench.run_to_end(&[]).await;
    assert_eq!(bench.states().await, ["r ask success", "r after success"]);
    bench.assert_sound().await;
}

async fn a_refusal_skips_or_fails(bench: Bench) {
    for (fail_on_reject, expected) in [(false, ["skipped", "skipped"]), (true, ["failed", "upstream_failed"])] {
        let dag = if fail_on_reject { "strict" } else { "mild" };
        bench.publish(shaped(dag, &["ask", "after < ask"])).await;
        let run = bench.trigger(dag, "r").await;
        let order = bench.claim_one().await;
        let question = Question { fail_on_reject, ..approval() };
        bench.report(&order, OutcomeKind::AwaitingInput(Box::new(question))).await;
        respond(&bench, &order, &chose("Reject"), "ada").await.unwrap();
        bench.settle().await;
        let states = format!("select state from task_instance where dag_run_id = {run} order by task_index");
        assert_eq!(bench.raw.texts(&states).await, expected);
        assert_eq!(bench.store.xcom(run, "ask", -1, "chosen_options").await.unwrap(), None);
        assert_eq!(record(&bench, &order).await.chosen_options, Some(json!(["Reject"])));
    }
    bench.assert_sound().await;
}

async fn of_two_answers_one_counts(bench: Bench) {
    let order = asking(&bench, approval()).await;
    let (yes, no) = (chose("Approve"), chose("Reject"));
    let (a, b) = tokio::join!(respond(&bench, &order, &yes, "ada"), respond(&bench, &order, &no, "bob"));
    let (winner, refused) = match (a, b) {
        (Ok(_), Err(refused)) => ("ada", refused),
        (Err(refused), Ok(_)) => ("bob", refused),
        other => panic!("exactly one counts: {other:?}"),
    };
    let told = refused.to_string();
    assert!(matches!(refused, StoreError::Conflict(_)) && told.contains(&format!("answered by `{winner}`")), "{told}");
    assert_eq!(record(&bench, &order).await.responded_by.as_deref(), Some(winner));
    assert_eq!(bench.raw.number("select count(*) from audit_log").await, 1);
    bench.run_to_end(&[]).await;
    bench.assert_sound().await;
}

async fn only_assignees_answer(bench: Bench) {
    let order = asking(&bench, Question { assignees: vec!["ada".to_owned()], ..approval() }).await;
    let refused = respond(&bench, &order, &chose("Approve"), "bob").await.unwrap_err();
    assert!(matches!(refused, StoreError::Denied(_)) && refused.to_string().contains("it is for `ada`"), "{refused}");
    assert_eq!(bench.state_of("ask").await, "awaiting_input");
    respond(&bench, &order, &chose("Approve"), "ada").await.unwrap();
    assert_eq!(bench.state_of("ask").await, "success");
}

async fn an_answer_that_does_not_fit_changes_nothing(bench: Bench) {
    let order = asking(&bench, approval()).await;
    let too_much: Answer =
        serde_json::from_value(json!({ "chosen_options": ["Approve"], "params_input": { "share": 2 } })).unwrap();
    for (answer, part) in [(chose("Perhaps"), "none of the question's options"), (too_much, "share")] {
        let refused = respond(&bench, &order, &answer, "ada").await.unwrap_err().to_string();
        assert!(refused.contains(part), "{refused}");
    }
    assert_eq!(bench.state_of("ask").await, "awaiting_input");
    assert_eq!(record(&bench, &order).await.responded_at, None);
}

async fn without_an_answer_the_default_counts_or_the_task_fails(bench: Bench) {
    let deadline_at = Some(bench.now() + Duration::from_secs(60));
    let order = asking(&bench, Question { default: Some(chose("Approve")), deadline_at, ..approval() }).await;
    bench.publish(shaped("e", &["ask"])).await;
    let run = bench.trigger("e", "r").await;
    let other = bench.claim_one().await;
    let question = Question { deadline_at, ..approval() };
    bench.report(&other, OutcomeKind::AwaitingInput(Box::new(question))).await;
    assert_eq!(bench.store.expire_questions(bench.now(), "s").await.unwrap(), 0);
    bench.pass(60);
    assert_eq!(bench.store.expire_questions(bench.now(), "s").await.unwrap(), 2);
    assert_eq!(bench.store.expire_questions(bench.now(), "s").await.unwrap(), 0);
    let kept = record(&bench, &order).await;
    assert_eq!((kept.chosen_options, kept.responded_by), (Some(json!(["Approve"])), None));
    let value = bench.store.xcom(order.run, "ask", -1, "params_input").await.unwrap();
    assert_eq!(value, Some(json!({ "share": 1 })));
    let failed = format!("select state || ': ' || reason from task_instance where dag_run_id = {run}");
    assert_eq!(bench.raw.texts(&failed).await, ["failed: timed out: nobody answered in time"]);
    let late = respond(&bench, &other, &chose("Approve"), "ada").await.unwrap_err().to_string();
    assert!(late.contains("not open any more"), "{late}");
    bench.run_to_end(&[]).await;
    bench.assert_sound().await;
}

async fn a_task_that_stops_waiting_closes_its_question(bench: Bench) {
    let order = asking(&bench, approval()).await;
    let tasks = Selection { task_ids: vec!["ask".to_owned()], ..Selection::default() };
    let clear = ClearRequest { run: order.run, tasks: tasks.clone(), only_failed: false, principal: "ada".to_owned() };
    bench.store.clear_tasks(bench.now(), &clear, false).await.unwrap();
    assert!(record(&bench, &order).await.closed_at.is_some());
    assert!(respond(&bench, &order, &chose("Approve"), "ada").await.is_err());
    let again = bench.claim_one().await;
    bench.report(&again, OutcomeKind::AwaitingInput(Box::new(approval()))).await;
    assert!(record(&bench, &again).await.closed_at.is_none());
    let mark = MarkRequest { run: order.run, tasks, to: Mark::Success, principal: "ada".to_owned() };
    bench.store.mark_tasks(bench.now(), &mark, false).await.unwrap();
    assert_eq!(bench.store.count_open_questions().await.unwrap(), 0);
    let told = respond(&bench, &again, &chose("Approve"), "bob").await.unwrap_err().to_string();
    assert!(told.contains("not open any more"), "{told}");
    bench.run_to_end(&[]).await;
    bench.assert_sound().await;
}

async fn questions_are_listed_and_counted(bench: Bench) {
    let order = asking(&bench, approval()).await;
    let count = async |filter: QuestionFilter| bench.store.list_questions(&filter, Page::first(10)).await.unwrap().1;
    assert_eq!(bench.store.count_open_questions().await.unwrap(), 1);
    let all = QuestionFilter::default;
    for (filter, open) in [
        (all(), 1),
        (QuestionFilter { is_answered: Some(false), ..all() }, 1),
        (QuestionFilter { is_answered: Some(true), ..all() }, 0),
        (QuestionFilter { dag_id: Some("d".to_owned()), task_id: Some("ask".to_owned()), ..all() }, 1),
        (QuestionFilter { dag_id: Some("e".to_owned()), ..all() }, 0),
        (QuestionFilter { run: Some(order.run), map_index: Some(-1), ..all() }, 1),
        (QuestionFilter { map_index: Some(0), ..all() }, 0),
        (QuestionFilter { subject: Some("DEPLOY 100%".to_owned()), ..all() }, 1),
        (QuestionFilter { subject: Some("y 1_0".to_owned()), ..all() }, 0),
    ] {
        assert_eq!(count(filter.clone()).await, open, "{filter:?}");
    }
    respond(&bench, &order, &chose("Approve"), "ada").await.unwrap();
    assert_eq!(bench.store.count_open_questions().await.unwrap(), 0);
    assert_eq!(
        count(QuestionFilter { is_answered: Some(true), responded_by: Some("ada".to_owned()), ..all() }).await,
        1
    );
    assert_eq!(count(QuestionFilter { responded_by: Some("bob".to_owned()), ..all() }).await, 0);
    let listed = bench.store.list_questions(&all(), Page::first(10)).await.unwrap().0.remove(0);
    assert_eq!((listed.dag_id.as_str(), listed.run_id.as_str(), listed.task_id.as_str()), ("d", "r", "ask"));
    assert_eq!(listed.params_input, Some(json!({ "share": 1 })) as Option<Value>);
}
