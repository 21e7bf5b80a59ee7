use proptest::prelude::*;
use serde_json::json;

use super::*;

/// What becomes of the lines, and of exit code 0.
fn said(lines: &[&str]) -> (PluginResult, Vec<(String, String)>) {
    let mut conversation = Conversation::new("greet", Masker::default());
    for line in lines {
        if let Err(why) = conversation.line(line, 0) {
            return (PluginResult::Failed(why), Vec::new());
        }
    }
    let (result, xcoms) = conversation.finish(true, "exit code 0");
    (result, xcoms.into_iter().map(|xcom| (xcom.key, xcom.value)).collect())
}

fn refusal(lines: &[&str]) -> String {
    match said(lines).0 {
        PluginResult::Failed(why) => why.split_once("\nhint: ").expect("every refusal has a hint").0.to_owned(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_result_ends_the_conversation() {
    let (result, xcoms) = said(&[
        r#"{"type":"log","message":"hello"}"#,
        "",
        r#"{"type":"xcom","key":"rows","value":3}"#,
        r#"{"type":"xcom","key":"rows","value":4}"#,
        r#"{"type":"result","state":"success","value":{"a":[1]}}"#,
    ]);
    assert_eq!(result, PluginResult::Success);
    assert_eq!(xcoms, [("rows".into(), "4".into()), ("return_value".into(), r#"{"a":[1]}"#.into())]);
}

#[test]
fn numbers_are_read_however_they_are_written() {
    let (result, xcoms) = said(&[
        r#"{"type":"progress","fraction":0.50}"#,
        r#"{"type":"progress","fraction":1e-01,"message":"a tenth"}"#,
        r#"{"type":"xcom","key":"rows","value":[12345678901234567890123,1e400,0.50]}"#,
        r#"{"type":"result","state":"retry","reason":"busy","after_seconds":2}"#,
    ]);
    assert_eq!(result, PluginResult::RetryAfter(Duration::from_secs(2), "busy".into()));
    assert_eq!(xcoms, [("rows".into(), "[12345678901234567890123,1e+400,0.50]".into())]);
    assert!(refusal(&[r#"{"type":"progress","fraction":1e400}"#]).contains("is too large"));
}

#[test]
fn every_state_has_its_meaning() {
    let result = |text: &str| said(&[text]).0;
    assert_eq!(
        result(r#"{"type":"result","state":"skipped","reason":"no rows"}"#),
        PluginResult::Skipped("no rows".into())
    );
    assert_eq!(
        result(r#"{"type":"result","state":"failed","reason":"no access","retryable":false}"#),
        PluginResult::FailedForGood("no access".into())
    );
    assert_eq!(result(r#"{"type":"result","state":"failed"}"#), PluginResult::Failed("plugin `greet` failed".into()));
    assert_eq!(
        result(r#"{"type":"result","state":"retry","reason":"busy","after_seconds":1.5}"#),
        PluginResult::RetryAfter(Duration::from_millis(1500), "busy".into())
    );
    assert_eq!(result(r#"{"type":"result","state":"retry","reason":"busy"}"#), PluginResult::Failed("busy".into()));
}

#[test]
fn a_plugin_may_go_on_later() {
    let resume = Some(json!({ "job": 7 }));
    assert_eq!(
        said(&[r#"{"type":"defer","after_seconds":60,"resume":{"job":7}}"#]).0,
        PluginResult::Deferred { until: Until::After(Duration::from_secs(60)), resume: resume.clone() }
    );
    assert_eq!(
        said(&[r#"{"type":"defer","until":"2026-03-05T06:30:00Z","resume":{"job":7}}"#]).0,
        PluginResult::Deferred { until: Until::At("2026-03-05T06:30:00Z".parse().unwrap()), resume }
    );
}

#[test]
fn log_lines_say_how_bad_it_is() {
    let mut conversation = Conversation::new("greet", Masker::default());
    let mut log = |text: &str| conversation.line(text, 0).unwrap().unwrap();
    assert_eq!(log(r#"{"type":"log","level":"info","message":"a"}"#), "a");
    assert_eq!(log(r#"{"type":"log","level":"warn","message":"b"}"#), "warning: b");
    assert_eq!(log(r#"{"type":"progress","fraction":0.4,"message":"half"}"#), "40 % half");
    assert_eq!(log(r#"{"type":"progress","fraction":7}"#), "100 %");
}

#[test]
fn whatever_breaks_the_protocol_is_quoted() {
    insta::assert_snapshot!(
        [
            refusal(&["loading..."]),
            refusal(&["[1]"]),
            refusal(&[r#"{"type":"done"}"#]),
            refusal(&[r#"{"type":"result","state":"ok"}"#]),
            refusal(&[r#"{"type":"result","state":"success","valeu":1}"#]),
            refusal(&[r#"{"type":"log","level":"info"}"#]),
            refusal(&[r#"{"type":"result","state":"success"}"#, r#"{"type":"result","state":"failed"}"#]),
            refusal(&[r#"{"type":"result","state":"retry","after_seconds":-1}"#]),
            refusal(&[r#"{"type":"xcom","key":"","value":1}"#]),
            refusal(&[r#"{"type":"defer","resume":1}"#]),
            refusal(&[r#"{"type":"defer","until":"tomorrow"}"#]),
            refusal(&[r#"{"type":"xcom","key":"a","value":1}"#, r#"{"type":"defer","after_seconds":1}"#]),
            refusal(&[]),
            refusal(&[&"x".repeat(1000)]),
        ]
        .join("\n")
    );
}

#[test]
fn too_much_is_refused() {
    let large = json!({ "type": "xcom", "key": "k", "value": "x".repeat(XCOM_BYTES_MAX) }).to_string();
    assert!(refusal(&[&large]).contains("larger than 1 MiB: `k`"));
    let many: Vec<String> = (0..9)
        .map(|n| json!({ "type": "xcom", "key": format!("k{n}"), "value": "x".repeat(XCOM_BYTES_MAX - 2) }).to_string())
        .collect();
    assert!(refusal(&many.iter().map(String::as_str).collect::<Vec<_>>()).contains("more than 8 MiB of XComs"));
    let why = Conversation::new("greet", Masker::default()).line("{", 5).unwrap_err();
    assert!(why.contains("wrote a line longer than"), "{why}");
}

#[test]
fn how_the_process_ends_counts_too() {
    let mut conversation = Conversation::new("greet", Masker::default());
    conversation.complaint("Traceback ...");
    conversation.complaint("KeyError: 'name'");
    conversation.complaint("");
    let (result, _) = conversation.finish(false, "exit code 1");
    let PluginResult::Failed(why) = result else { panic!("{result:?}") };
    assert!(why.contains("without a result (exit code 1); its last words: `KeyError: 'name'`"), "{why}");

    let mut conversation = Conversation::new("greet", Masker::default());
    conversation.line(r#"{"type":"result","state":"success","value":1}"#, 0).unwrap();
    let (result, xcoms) = conversation.finish(false, "killed by signal 11");
    assert!(matches!(result, PluginResult::Failed(why) if why.contains("and then failed (killed by signal 11)")));
    assert_eq!(xcoms.len(), 0);
}

proptest! {
    /// However hostile: no panic, and no result that was not given.
    #[test]
    fn no_line_is_too_strange(lines in prop::collection::vec(any::<String>(), 0..5)) {
        let mut conversation = Conversation::new("greet", Masker::default());
        if lines.iter().try_for_each(|line| conversation.line(line, 0).map(drop)).is_ok() {
            let (result, _) = conversation.finish(true, "exit code 0");
            prop_assert!(matches!(result, PluginResult::Failed(_)));
        }
    }
}
