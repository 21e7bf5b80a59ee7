//! What the types of operators declare to be a template is what is rendered, and nothing else.

use std::sync::Arc;

use flow_dagfile::{check_text, reference};
use flow_model::graph::DagGraph;
use flow_model::operator::Operator;
use flow_model::state::RunType;
use flow_model::template_kind::KEYWORD;
use flow_model::{ClaimId, Dag, DagRunKey, DagVersionKey, Epoch, TaskInstanceKey, TemplateKind, Timestamp};
use flow_store::WorkOrder;
use serde_json::{Map, Value, json};

use super::prepare;
use crate::template::{AttemptScope, Lookups, Renderer};

/// Gives `MARK` where it is rendered.
const MARK: &str = "{{ 'mark' | upper }}";

/// Ways of which an operator takes one.
const ALTERNATIVES: [&str; 10] =
    ["choose", "bash", "condition", "body", "json", "command", "script", "code", "call", "file"];

/// The DAG of an operator's example, its first task with that operator.
fn example(operator: &str, text: &str) -> Dag {
    let parsed = check_text("example.toml", text, None).result.unwrap_or_else(|it| panic!("{operator}: {it:#?}"));
    let mut dag = parsed.dag;
    dag.tasks.retain(|task| task.operator.name() == operator);
    dag.tasks.truncate(1);
    dag
}

fn prepared(dag: Dag, operator: Operator) -> Result<String, String> {
    prepared_with(dag, operator, "")
}

fn prepared_with(mut dag: Dag, operator: Operator, value: &str) -> Result<String, String> {
    let at: Timestamp = "2026-03-05T06:30:00Z".parse().unwrap();
    dag.tasks[0].operator = operator;
    // What the examples name.
    let params = ["target", "rows", "version", "region", "last", "numbers"];
    let mut conf: Map<String, Value> = params.into_iter().map(|name| (name.to_owned(), json!(1))).collect();
    conf.insert("v".to_owned(), json!(value));
    let order = WorkOrder {
        task_instance: TaskInstanceKey(1),
        epoch: Epoch(1),
        claim: ClaimId(1),
        run: DagRunKey(1),
        run_id: "manual__1".to_owned(),
        run_type: RunType::Manual,
        graph: Arc::new(DagGraph::new(DagVersionKey(1), dag)),
        task_index: 0,
        map_index: -1,
        scheduled_at: at,
        map_values: Map::new(),
        try_number: 1,
        max_tries: 1,
        logical_date: Some(at),
        data_interval: Some((at, at)),
        run_after: at,
        run_started_at: Some(at),
        conf,
        try_started_at: at,
        is_continued: false,
        resume: None,
        log_before: flow_store::LogBefore::default(),
    };
    let renderer =
        Renderer::new(Arc::new(AttemptScope::new(order.clone(), Arc::new(Lookups::default()), Arc::default())));
    prepare(&order, at, None, &renderer)
        .map(|it| format!("{:?} {:?}", it.work, it.rendered))
        .map_err(|it| it.to_string())
}

/// A value of the shape that a schema takes, with a template in each text.
fn marked(schema: &Value, kind: Option<TemplateKind>) -> Option<Value> {
    shaped(schema, kind, MARK)
}

fn shaped(schema: &Value, kind: Option<TemplateKind>, template: &str) -> Option<Value> {
    let text = match kind {
        Some(TemplateKind::Url) => format!("https://h.example/{template}"),
        Some(TemplateKind::Path) => format!("/x/{template}"),
        Some(TemplateKind::Addresses) => format!("{template}@example.org"),
        _ => template.to_owned(),
    };
    let alternatives = schema["anyOf"].as_array().into_iter().flatten();
    let all = std::iter::once(schema).chain(alternatives).filter(|schema| schema.get("enum").is_none());
    let types: Vec<&str> = all
        .flat_map(|schema| match &schema["type"] {
            Value::Array(types) => types.iter().filter_map(Value::as_str).collect(),
            one => one.as_str().into_iter().collect::<Vec<_>>(),
        })
        .collect();
    if types.contains(&"string") && schema.get("format").is_none() {
        Some(json!(text))
    } else if types.contains(&"array") && schema["items"]["properties"].is_null() {
        Some(json!([text]))
    } else if types.contains(&"object") && schema["properties"].is_null() || kind.is_some() && types.is_empty() {
        Some(json!({ "k": text }))
    } else {
        None
    }
}

/// Renders the operator with one key set to a template. `None`: the key takes no free text.
fn rendered_with(operator: &str, dag: &Dag, path: &[&str], value: &Value) -> Option<Result<String, String>> {
    Some(prepared(dag.clone(), with_key(operator, dag, path, value)?))
}

/// The operator with one key set. `None`: the key does not take it.
fn with_key(operator: &str, dag: &Dag, path: &[&str], value: &Value) -> Option<Operator> {
    let mut table = serde_json::to_value(&dag.tasks[0].operator).unwrap()[operator].take();
    let key = path[0];
    if ALTERNATIVES.contains(&key) && !(key == "command" && matches!(operator, "docker" | "kubernetes_pod")) {
        ALTERNATIVES.iter().filter(|other| **other != key).for_each(|other| {
            table.as_object_mut().unwrap().remove(*other);
        });
    }
    if key == "stdin" && matches!(operator, "branch" | "short_circuit") {
        let way = if operator == "branch" { "choose" } else { "condition" };
        table.as_object_mut().unwrap().remove(way);
        table["bash"] = json!("cat");
    }
    match path {
        [key] => table[*key] = value.clone(),
        [key, inner] => table[*key] = json!([{ "source": "a", "target": "/b", "type": "volume", *inner: value }]),
        _ => unreachable!("no key is deeper"),
    }
    serde_json::from_value(json!({ operator: table })).ok()
}

/// The keys of an operator, with their schemas; of lists of tables the keys in these, too.
fn keys<'a>(schema: &'a Value, operator: &str) -> Vec<(Vec<&'a str>, &'a Value)> {
    let forms = schema["$defs"]["task"]["properties"][operator]["anyOf"].as_array().unwrap();
    let table = forms.iter().find(|form| form["properties"].is_object());
    let mut keys: Vec<(Vec<&str>, &Value)> = Vec::new();
    for (key, below) in table.and_then(|table| table["properties"].as_object()).into_iter().flatten() {
        keys.push((vec![key], below));
        let inside = below["items"]["properties"].as_object().into_iter().flatten();
        keys.extend(inside.map(|(inner, below)| (vec![key.as_str(), inner.as_str()], below)));
    }
    keys
}

/// Values that mean something to a shell, a path, a URL, a header, a list, a protocol or markup.
const HOSTILE: [&str; 18] = [
    "",
    "..",
    "../../etc/passwd",
    "/etc/passwd",
    "-x --help",
    "$(touch owned) `touch owned` $HOME $$ $(HOME)",
    "'; touch owned; '",
    "\" \\ \\\" \\n",
    "a\nb\r\nX-Evil: 1",
    "a:b:rw,c=d;e@sha256:f",
    "{{ conf.v }}{% raw %}{# #}",
    "<b>&amp;</b> [x](y) *z*",
    "null",
    "[1, 2]",
    "{\"a\": 1}",
    "a, b@evil.example",
    "\u{0}\u{1b}[31m\u{202e}",
    "é√\u{1f600}\u{E0F0}1:0\u{E0F1}",
];

/// How a value is written in a key with a grammar of its own: a path with wildcards, a line.
fn written(operator: &str, key: &str, value: &str) -> String {
    match (operator, key) {
        ("file_sensor", "filepath") => value.chars().fold(String::new(), |written, character| match character {
            '*' | '?' | '[' => written + "[" + &character.to_string() + "]",
            other => written + &other.to_string(),
        }),
        ("approval" | "form", "subject") => value.split_whitespace().collect::<Vec<_>>().join(" "),
        _ => value.to_owned(),
    }
}

/// What a template of plain text gives arrives as it is, and nothing around it changes, in every key of every operator; what
/// has a grammar has properties of its own.
#[test]
fn values_are_what_they_are_in_every_key() {
    let schema = flow_dagfile::schema();
    let (mut arrived, mut refused, mut wrong) = (0, 0, Vec::new());
    for section in reference::sections().into_iter().filter(|section| section.short_form.is_some()) {
        let name = section.name.as_str();
        let dag = example(name, section.example.as_deref().unwrap_or_default());
        for (path, below) in keys(&schema, name) {
            let kind: Option<TemplateKind> = below[KEYWORD].as_str().map(|kind| kind.parse().unwrap());
            // A condition is judged by its value, and leaves no text.
            if !kind.is_some_and(TemplateKind::is_template) || path[0] == "condition" {
                continue;
            }
            for (template, inside) in [("{{ conf.v }}", "§"), ("a{{ conf.v }}b", "a§b")] {
                let Some(value) = shaped(below, kind, template) else { continue };
                let Some(operator) = with_key(name, &dag, &path, &value) else { continue };
                let render = |value: &str| prepared_with(dag.clone(), operator.clone(), value);
                let plain = render("MARK").or_else(|_| render("7"));
                for hostile in HOSTILE {
                    let place = format!("{name}.{} = {inside} with {hostile:?}", path.join("."));
                    let shown = match render(hostile) {
                        Ok(shown) => shown,
                        Err(why) => {
                            assert!(why.contains("hint: ") || why.contains("NUL"), "{place}: {why}");
                            refused += 1;
                            continue;
                        }
                    };
                    if !matches!(kind, Some(TemplateKind::Text | TemplateKind::Path | TemplateKind::Value)) {
                        continue;
                    }
                    let written = written(name, path[0], hostile);
                    let quoted = format!("{written:?}");
                    let quoted = &quoted[1..quoted.len() - 1];
                    if quoted != json!(hostile).as_str().unwrap() && path[0] == "json" {
                        // A body that is JSON has its own quotes.
                        continue;
                    }
                    let expected = plain.as_ref().unwrap().replace("MARK", quoted);
                    if shown != expected {
                        wrong.push(format!("{place}: {shown}, not {expected}"));
                    }
                    arrived += 1;
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(arrived > 1_000 && refused > 20, "{arrived} {refused}");
}

#[test]
fn what_is_declared_to_be_a_template_is_rendered_and_nothing_else() {
    let schema = flow_dagfile::schema();
    let (mut templates, mut others, mut wrong) = (0, 0, Vec::new());
    for section in reference::sections().into_iter().filter(|section| section.short_form.is_some()) {
        let name = section.name.as_str();
        let dag = example(name, section.example.as_deref().unwrap_or_default());
        for (path, below) in keys(&schema, name) {
            let kind: Option<TemplateKind> = below[KEYWORD].as_str().map(|kind| kind.parse().unwrap());
            let Some(value) = marked(below, kind) else { continue };
            let Some(result) = rendered_with(name, &dag, &path, &value) else { continue };
            let is_template = kind.is_some_and(TemplateKind::is_template);
            if is_template {
                templates += 1;
            } else {
                others += 1;
            }
            let is_rendered = result.as_ref().is_ok_and(|shown| shown.contains("MARK"));
            let is_left = result.as_ref().map_or(true, |shown| !shown.contains("MARK"));
            if is_template != is_rendered || !(is_template || is_left) {
                wrong.push(format!("{name}.{} is declared {kind:?}: {result:?}", path.join(".")));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(templates > 60 && others > 40, "{templates} {others}");
}

/// Whatever a key makes of a value: one that is not there fails the task and is named, one that is none is taken.
#[test]
fn what_is_not_defined_fails_wherever_it_stands() {
    let schema = flow_dagfile::schema();
    let (mut refused, mut nulls, mut wrong) = (0, 0, Vec::new());
    for section in reference::sections().into_iter().filter(|section| section.short_form.is_some()) {
        let name = section.name.as_str();
        let dag = example(name, section.example.as_deref().unwrap_or_default());
        for (path, below) in keys(&schema, name) {
            let kind: Option<TemplateKind> = below[KEYWORD].as_str().map(|kind| kind.parse().unwrap());
            if !kind.is_some_and(TemplateKind::is_template) {
                continue;
            }
            for missing in ["conf.nope", "params.nope", "dag_run.conf['nope']", "nope", "[conf.nope][0]"] {
                let Some(value) = shaped(below, kind, &format!("{{{{ {missing} }}}}")) else { continue };
                let Some(result) = rendered_with(name, &dag, &path, &value) else { continue };
                refused += 1;
                let is_named =
                    |error: &String| error.contains("not defined\nhint: ") && error.contains("template of `");
                if !result.as_ref().is_err_and(is_named) {
                    wrong.push(format!("{name}.{} with {missing}: {result:?}", path.join(".")));
                }
            }
            for none in ["none", "conf.nope | default(none)", "dag_run.conf.get('nope')"] {
                let Some(value) = shaped(below, kind, &format!("{{{{ {none} }}}}")) else { continue };
                let Some(Err(error)) = rendered_with(name, &dag, &path, &value) else {
                    nulls += 1;
                    continue;
                };
                if error.contains("not defined") {
                    wrong.push(format!("{name}.{} with {none}: {error}", path.join(".")));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(refused > 300 && nulls > 100, "{refused} {nulls}");
}
