//! Whatever users, upstream tasks and programs write: a page has the same elements and attributes as with harmless words.

use axum::http::StatusCode;
use flow_model::question::Question;
use flow_store::{NewXCom, OutcomeKind};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use serde_json::json;

use crate::fixture::Site;

/// A page without its words: the elements with the names of their attributes.
fn skeleton(html: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = html;
    while let Some(at) = rest.find('<') {
        rest = &rest[at + 1..];
        let (mut element, mut quote) = (String::new(), None);
        for (position, character) in rest.char_indices() {
            match (quote, character) {
                (None, '>') => {
                    rest = &rest[position + 1..];
                    break;
                }
                (None, '"' | '\'') => quote = Some(character),
                (None, _) => element.push(character),
                (Some(open), _) if open == character => quote = None,
                (Some(_), _) => {}
            }
        }
        // The text of a log line is a tooltip's, too; how many words there are does not matter.
        found.push(element.split_whitespace().collect::<Vec<_>>().join(" "));
    }
    found
}

/// Every page that shows the value, and the headers of the download of a file of that name.
async fn pages(value: &str) -> Vec<(String, Vec<String>)> {
    let site = Site::on_sqlite().await;
    let body = json!({ "dag_run_id": "one", "note": value, "conf": { "rows": 3, "text": value, "list": [value] } });
    let created = site.ask("POST", "/api/v2/dags/sales/dagRuns", Some(body)).await;
    assert_eq!(created.status, StatusCode::OK, "{}", created.text);
    site.tick().await;
    let list = site.claim().await.remove("list").unwrap();
    site.log(&list, 0, value).await;
    site.finish_with(&list, OutcomeKind::Success, |outcome| {
        outcome.reason = Some(value.to_owned());
        outcome.map_label = Some(value.to_owned());
        outcome.rendered = Some(json!({ "bash": value, "env": { "X": value } }).to_string());
        let text = |key: &str, value: serde_json::Value| NewXCom { key: key.to_owned(), value: value.to_string() };
        outcome.xcoms = vec![text("return_value", json!(value)), text(&format!("k{value}"), json!({ value: [value] }))];
    })
    .await;
    site.tick().await;
    let load = site.claim().await.remove("load").unwrap();
    let question = Question { subject: value.to_owned(), options: vec!["Go".to_owned()], ..Question::default() };
    site.finish_with(&load, OutcomeKind::AwaitingInput(Box::new(question)), |outcome| outcome.xcoms.clear()).await;
    site.store.record_import_error(site.store.now(), "broken.toml", None, value, &json!([])).await.unwrap();
    let variable = json!({ "key": "region", "value": value, "description": value });
    assert_eq!(site.ask("POST", "/api/v2/variables", Some(variable)).await.status, StatusCode::CREATED);
    let connection = json!({
        "connection_id": "db", "conn_type": "postgres", "host": value, "login": value, "schema": value,
        "extra": json!({ "x": value }).to_string(), "description": value,
    });
    let set = site.ask("POST", "/api/v2/connections", Some(connection)).await;
    assert_eq!(set.status, StatusCode::CREATED, "{}", set.text);
    let mut found = Vec::new();
    for path in [
        "/",
        "/dags/sales",
        "/dags/sales/trigger",
        "/dags/sales/runs/one",
        "/dags/sales/runs/one/tasks/list",
        "/dags/sales/runs/one/tasks/load",
        "/questions",
        "/variables",
        "/variables?edit=region",
        "/connections",
        "/connections?edit=db",
        "/import-errors",
    ] {
        found.push((path.to_owned(), skeleton(&site.page(path).await)));
    }
    let form = format!("key=region&value={}&description={}", percent(value), percent(value));
    let refused = site.submit("/variables", &format!("{form}&key=../x")).await;
    found.push(("a refusal".to_owned(), skeleton(&refused.text)));
    for query in ["/?q=", "/?tag=", "/variables?edit=", "/dags/"] {
        let answer = site.ask("GET", &format!("{query}{}", percent(value)), None).await;
        found.push((query.to_owned(), skeleton(&answer.text)));
    }
    found
}

fn percent(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

#[tokio::test]
async fn no_value_becomes_markup() {
    let harmless = pages("harmless words").await;
    let mut values: Vec<String> = [
        "<script>alert(1)</script>",
        "\"><img src=x onerror=alert(1)>",
        "' onmouseover='alert(1)",
        "</textarea></pre></title><b>",
        "\u{1b}]8;;https://evil.example\u{7}x\u{1b}[31mred\u{1b}[0m",
        "[x](javascript:alert(1)) <!-- {{ 7 * 7 }} --> &lt;b&gt; ]]>",
    ]
    .map(str::to_owned)
    .into();
    let mut runner = TestRunner::deterministic();
    let any = "[<>\"'&/=!\\-\\]a-z;`{}%\u{202e}é ]{1,40}x";
    values.extend((0..6).map(|_| any.new_tree(&mut runner).unwrap().current()));
    for value in values {
        for ((path, page), (_, expected)) in pages(&value).await.iter().zip(&harmless) {
            let differs = page.iter().zip(expected).find(|(one, other)| one != other);
            assert!(
                page == expected,
                "{path} with {value:?}: {differs:?}, {} and {} elements",
                page.len(),
                expected.len()
            );
        }
    }
}
