//! Mappings: which instances follow from which values.

use std::collections::HashMap;

use flow_model::expand::{ExpandError, Lookup, Mapping, Source};
use proptest::prelude::*;
use serde_json::{Value, json};

#[derive(Default)]
struct Values {
    xcoms: HashMap<(String, String), Value>,
    params: HashMap<String, Value>,
}

impl Values {
    fn xcom(mut self, task: &str, value: Value) -> Self {
        self.xcoms.insert((task.to_owned(), "return_value".to_owned()), value);
        self
    }
}

impl Lookup for Values {
    fn xcom(&self, task_id: &str, key: &str) -> Option<&Value> {
        self.xcoms.get(&(task_id.to_owned(), key.to_owned()))
    }

    fn param(&self, name: &str) -> Option<&Value> {
        self.params.get(name)
    }
}

fn from_task(task: &str, path: &[&str]) -> Source {
    let path = path.iter().map(|step| (*step).to_owned()).collect();
    Source::XCom { task_id: task.to_owned(), key: "return_value".to_owned(), path }
}

fn list(values: Value) -> Source {
    Source::List(values.as_array().cloned().unwrap())
}

fn one(source: Source) -> Mapping {
    Mapping::Product([("x".to_owned(), source)].into())
}

fn instances(mapping: &Mapping, values: &Values) -> Value {
    Value::Array(mapping.instances(values, 100).unwrap().into_iter().map(Value::Object).collect())
}

#[test]
fn several_lists_give_every_combination_and_the_last_name_varies_fastest() {
    let mapping =
        Mapping::Product([("a".to_owned(), list(json!([1, 2]))), ("b".to_owned(), list(json!(["x", "y"])))].into());
    assert_eq!(
        instances(&mapping, &Values::default()),
        json!([{"a": 1, "b": "x"}, {"a": 1, "b": "y"}, {"a": 2, "b": "x"}, {"a": 2, "b": "y"}])
    );
}

#[test]
fn nulls_are_dropped_and_an_empty_list_gives_nothing() {
    assert_eq!(instances(&one(list(json!([1, null, 2]))), &Values::default()), json!([{"x": 1}, {"x": 2}]));
    assert_eq!(instances(&one(list(json!([null]))), &Values::default()), json!([]));
    let empty_factor = Mapping::Product([("a".to_owned(), list(json!([1]))), ("b".to_owned(), list(json!([])))].into());
    assert_eq!(instances(&empty_factor, &Values::default()), json!([]));
}

#[test]
fn tables_give_their_entries_and_paths_lead_into_values() {
    let values = Values::default().xcom("t", json!({"files": ["a", "b"], "sizes": {"a": 1}}));
    assert_eq!(instances(&one(from_task("t", &["files"])), &values), json!([{"x": "a"}, {"x": "b"}]));
    assert_eq!(instances(&one(from_task("t", &["sizes"])), &values), json!([{"x": ["a", 1]}]));
}

#[test]
fn zip_stops_at_the_shortest_or_fills_up_and_concat_joins() {
    let zip = |fill| Source::Zip { sources: vec![list(json!([1, 2, 3])), list(json!(["a"]))], fill };
    assert_eq!(instances(&one(zip(None)), &Values::default()), json!([{"x": [1, "a"]}]));
    let filled = instances(&one(zip(Some(json!("-")))), &Values::default());
    assert_eq!(filled, json!([{"x": [1, "a"]}, {"x": [2, "-"]}, {"x": [3, "-"]}]));
    let concat = Source::Concat(vec![list(json!([1])), from_task("t", &[])]);
    assert_eq!(instances(&one(concat), &Values::default().xcom("t", json!([2]))), json!([{"x": 1}, {"x": 2}]));
}

#[test]
fn tables_of_names_are_taken_as_they_are() {
    let mapping = Mapping::Kwargs(list(json!([{"a": 1}, {"a": 2, "b": 3}])));
    assert_eq!(instances(&mapping, &Values::default()), json!([{"a": 1}, {"a": 2, "b": 3}]));
    let wrong = Mapping::Kwargs(list(json!([{"a": 1}, 2])));
    let error = wrong.instances(&Values::default(), 100).unwrap_err();
    assert_eq!(error.to_string(), "each value of `expand_kwargs` must be a table, number 1 is a number");
}

#[test]
fn what_is_no_list_was_not_produced_or_is_too_long_is_an_error() {
    let number = one(from_task("t", &[])).instances(&Values::default().xcom("t", json!(7)), 100).unwrap_err();
    assert_eq!(number.to_string(), "cannot map over a number: what `t` left must be a list or a table");
    let missing = one(from_task("t", &[])).instances(&Values::default(), 100).unwrap_err();
    assert!(matches!(missing, ExpandError::NotProduced { .. }));
    let long = one(list(json!([1, 2, 3]))).instances(&Values::default(), 2).unwrap_err();
    assert_eq!(long, ExpandError::TooLong { length: 3, max: 2 });
    // A product that no number can hold is too long, too.
    let names = (0..20).map(|n| (format!("n{n}"), list(json!(vec![1; 10_000])))).collect();
    let huge = Mapping::Product(names).instances(&Values::default(), 2).unwrap_err();
    assert!(matches!(huge, ExpandError::TooLong { .. }));
}

proptest! {
    #[test]
    fn a_product_has_each_combination_once(lengths in prop::collection::vec(0_usize..5, 1..4)) {
        let named = lengths
            .iter()
            .enumerate()
            .map(|(n, length)| (format!("n{n}"), Source::List((0..*length).map(Value::from).collect())))
            .collect();
        let found = Mapping::Product(named).instances(&Values::default(), 1_000).unwrap();
        prop_assert_eq!(found.len(), lengths.iter().product::<usize>());
        let distinct: std::collections::HashSet<String> = found.iter().map(|one| format!("{one:?}")).collect();
        prop_assert_eq!(distinct.len(), found.len());
    }
}
