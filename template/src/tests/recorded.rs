//! What templates come to is compared with what the real Jinja and the real pendulum have made of them
//! (`tests/record/expressions.py` writes that down). What differs on purpose stands in one list, which is also a table in
//! docs/dag-file.md.

use std::collections::BTreeMap;
use std::sync::Arc;

use flow_model::Timestamp;
use minijinja::Value;
use minijinja::value::{Enumerator, Object};
use serde::Deserialize;
use serde_json::json;

use crate::{DateValue, Macros, Renderer, Scope, from_json};

/// What a template came to.
#[derive(Debug, Deserialize)]
struct Recorded {
    template: String,
    text: Option<String>,
}

/// The names that the recording has.
#[derive(Debug)]
struct Context(BTreeMap<&'static str, Value>);

impl Object for Context {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.0.get(key.as_str()?).cloned()
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::NonEnumerable
    }
}

impl Scope for Context {
    fn knows(&self, path: &str) -> bool {
        self.0.contains_key(path)
    }

    fn hint_for(&self, _: &str) -> String {
        "none".to_owned()
    }
}

fn context() -> Context {
    let utc = |text: &str| text.parse::<Timestamp>().map(DateValue::value).unwrap();
    let zoned = |text: &str, zone: &str| DateValue::in_zone_named(text.parse::<Timestamp>().unwrap(), zone);
    let morning = "2026-03-05T06:30:00Z";
    let mut names: BTreeMap<&'static str, Value> = [
        ("macros", Value::from_object(Macros::new("2026-03-05T07:00:00Z".parse().unwrap()))),
        ("dt", utc(morning)),
        ("micro", utc("2026-12-31T23:59:58.120456Z")),
        ("sthlm", zoned(morning, "Europe/Stockholm")),
        ("ny", zoned(morning, "America/New_York")),
        ("kolkata", zoned(morning, "Asia/Kolkata")),
        ("leap", utc("2024-02-29T00:00:00Z")),
        ("spring", zoned("2026-03-28T01:30:00Z", "Europe/Stockholm")),
        ("autumn", zoned("2026-10-24T00:30:00Z", "Europe/Stockholm")),
    ]
    .into();
    let plain: BTreeMap<&'static str, serde_json::Value> = [
        ("ds", json!("2026-03-05")),
        ("n", json!(7)),
        ("neg", json!(-7)),
        ("zero", json!(0)),
        ("big", serde_json::from_str("12345678901234567890123").unwrap()),
        ("pi", serde_json::from_str("3.14159").unwrap()),
        ("huge", json!(1e16)),
        ("tiny", json!(1.5e-7)),
        ("text", json!("Hello, World")),
        ("empty", json!("")),
        ("words", json!("the quick brown fox jumps over the lazy dog")),
        ("lines", json!("one\ntwo\n\nthree")),
        ("spaces", json!("  padded\t")),
        ("umlaut", json!("Straße äöü")),
        ("quote", json!("it's")),
        ("both", json!("it's \"it\"")),
        ("html", json!("<b class=\"x\">bold &amp; <i>it</i></b>")),
        ("csv", json!("a,b,,c")),
        ("path", json!("s3://bucket/a/b.csv.gz")),
        ("url", json!("see http://example.com/a?b=c&d=e and www.example.org, or mail me@example.com")),
        ("none", json!(null)),
        ("yes", json!(true)),
        ("no", json!(false)),
        ("numbers", json!([3, 1, 2])),
        ("floats", json!([1.5, 2.0, 1e16])),
        ("names", json!(["beta", "Alpha", "gamma"])),
        ("mixed", json!([1, "a", null, true, 2.5])),
        ("nested", json!([[1, 2], ["x"], []])),
        ("table", json!({"b": 1, "a": [1, "two"], "c": null})),
        ("rows", json!([{"id": 2, "k": "x"}, {"id": 1, "k": "y"}, {"id": 3, "k": "x"}])),
    ]
    .into();
    names.extend(plain.iter().map(|(name, value)| (*name, from_json(value))));
    Context(names)
}

#[test]
fn templates_come_to_what_jinja_and_pendulum_make_of_them() {
    let recorded: BTreeMap<String, Vec<Recorded>> =
        serde_json::from_str(include_str!("../../tests/record/expressions.json")).unwrap();
    let renderer = Renderer::new(Arc::new(context()));
    let (mut wrong, mut used) = (Vec::new(), vec![false; DIFFERENCES.len()]);
    for entry in recorded.values().flatten() {
        let ours = renderer.text("template", &entry.template);
        let is_same = match (&ours, &entry.text) {
            (Ok(ours), Some(theirs)) => ours == theirs,
            (Err(_), None) => true,
            _ => false,
        };
        if is_same {
            continue;
        }
        match DIFFERENCES.iter().position(|difference| difference.covers(&entry.template)) {
            Some(index) => used[index] = true,
            None => {
                let theirs = entry.text.as_deref().unwrap_or("(an error)");
                let ours = ours.unwrap_or_else(|error| format!("({error})"));
                wrong.push(format!("{}\n  theirs: {theirs}\n  ours:   {ours}", entry.template));
            }
        }
    }
    let total = recorded.values().map(Vec::len).sum::<usize>();
    assert!(wrong.is_empty(), "{} of {total} templates differ:\n{}", wrong.len(), wrong.join("\n"));
    let unused: Vec<&str> =
        DIFFERENCES.iter().zip(&used).filter(|(_, used)| !**used).map(|(difference, _)| difference.what).collect();
    assert!(unused.is_empty(), "these do not differ any more: {unused:?}");
}

/// Something that renders differently on purpose.
struct Difference {
    /// What it is: the first cell of its row in docs/dag-file.md.
    what: &'static str,
    /// Parts of the templates that it is about.
    templates: &'static [&'static str],
}

impl Difference {
    fn covers(&self, template: &str) -> bool {
        self.templates.iter().any(|part| template.contains(part))
    }
}

const DIFFERENCES: &[Difference] = &[
    Difference { what: "`isocalendar()`, printed whole", templates: &["isocalendar() }}"] },
    Difference { what: "`strftime(\"%s\")` of a date that is not in UTC", templates: &["strftime('%s')"] },
    Difference { what: "`\\| ts_nodash_with_tz` of a date west of Greenwich", templates: &["ny | ts_nodash_with_tz"] },
    Difference {
        what: "`unique` over lists, `dictsort` by values of different kinds",
        templates: &["nested | unique", "dictsort(by='value')"],
    },
    Difference { what: "methods without a call, `.real` of a number", templates: &["attr('upper')", "n.real"] },
    Difference { what: "`encode`, `translate`", templates: &[".encode()", ".translate("] },
    Difference {
        what: "methods that change a list or a table",
        templates: &[".append(", ".update(", ".pop(", "numbers.sort()"],
    },
    Difference { what: "a plus before a value", templates: &["{{ +n }}"] },
    Difference { what: "`timetuple()`", templates: &["timetuple()"] },
    Difference { what: "the test `callable`, the function `lipsum`", templates: &["is callable"] },
];

#[test]
fn the_documentation_lists_what_differs() {
    let documentation = include_str!("../../../docs/dag-file.md");
    let (_, table) = documentation.split_once("### What renders differently from Airflow").unwrap();
    let rows: Vec<&str> = table
        .lines()
        .skip_while(|line| !line.starts_with("|---"))
        .skip(1)
        .take_while(|line| line.starts_with("| "))
        .filter_map(|row| row.split(" | ").next()?.strip_prefix("| "))
        .map(str::trim)
        .collect();
    let listed: Vec<&str> = DIFFERENCES.iter().map(|difference| difference.what).collect();
    assert_eq!(rows, listed, "the table in docs/dag-file.md and the list of differences are not the same");
}
