use std::process::Command;

use flow_model::graph::DagGraph;
use flow_model::state::RunType;
use flow_model::{ClaimId, DagRunKey, DagVersionKey, Epoch, TaskInstanceKey, Timestamp};
use flow_store::{WorkOrder, XComInstances, XComPull, XComRun};
use minijinja::Value;
use proptest::prelude::*;
use serde_json::json;

use std::sync::Arc;

use super::*;

pub(super) fn scope(conf: serde_json::Value) -> Arc<AttemptScope> {
    scope_at(conf, Some("2026-03-05T06:30:00Z"))
}

fn scope_at(conf: serde_json::Value, logical_date: Option<&str>) -> Arc<AttemptScope> {
    Arc::new(AttemptScope::new(order(conf, logical_date), Arc::new(Lookups::default()), Arc::default()))
}

fn order(conf: serde_json::Value, logical_date: Option<&str>) -> WorkOrder {
    let dag = serde_json::from_value(json!({
        "dag_id": "sales", "owner": "ann", "tags": [], "schedule": "none", "catchup": "latest",
        "max_active_runs": 1, "max_active_tasks": 1, "tasks": [{
            "task_id": "load", "owner": "ann", "depends_on": [], "trigger_rule": "all_success", "retries": 0,
            "retry_delay": "1s", "retry_backoff_factor": 1.0, "max_retry_delay": "1s", "retry_jitter": 0.0,
            "pool": "p", "pool_slots": 1, "priority_weight": 1, "weight_rule": "absolute", "queue": "default",
            "depends_on_past": false, "wait_for_downstream": false, "at_most_once": false, "overlap": "allow",
            "output": "none", "operator": { "noop": {} },
        }],
    }))
    .unwrap();
    let at = logical_date.map(|text| text.parse::<Timestamp>().unwrap());
    let serde_json::Value::Object(conf) = conf else { panic!("conf must be an object") };
    WorkOrder {
        task_instance: TaskInstanceKey(1),
        epoch: Epoch(1),
        claim: ClaimId(1),
        run: DagRunKey(1),
        run_id: "manual__1".to_owned(),
        run_type: RunType::Manual,
        graph: Arc::new(DagGraph::new(DagVersionKey(1), dag)),
        task_index: 0,
        map_index: -1,
        scheduled_at: Timestamp::UNIX_EPOCH,
        map_values: serde_json::Map::new(),
        try_number: 2,
        max_tries: 3,
        logical_date: at,
        data_interval: at.map(|at| (at, at)),
        run_after: "2026-03-05T06:31:00Z".parse().unwrap(),
        run_started_at: at,
        conf,
        try_started_at: "2026-03-05T06:31:00Z".parse().unwrap(),
        is_continued: false,
        resume: None,
        log_before: flow_store::LogBefore::default(),
    }
}

fn pull(task_id: &str, key: &str, instances: XComInstances, run: XComRun) -> Wanted {
    Wanted::Value(XComPull { task_id: task_id.to_owned(), key: key.to_owned(), instances, run })
}

fn text(source: &str) -> String {
    Renderer::new(scope(json!({"n": 5}))).text("command", source).unwrap()
}

fn refusal(source: &str) -> String {
    Renderer::new(scope(json!({"n": 5, "bad": "a[$(id)]"}))).shell("bash", source).unwrap_err().to_string()
}

/// What bash makes of a template with `{{ conf.v }}` in it.
fn run_bash(source: &str, value: &str) -> String {
    let script = Renderer::new(scope(json!({ "v": value }))).shell("bash", source).unwrap();
    let output = Command::new("bash").arg("-c").arg(&script.code).envs(script.variables).output().unwrap();
    assert!(output.status.success(), "{}: {}", script.code, String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn airflows_names_are_there() {
    for (source, expected) in [
        ("{{ ds }} {{ ds_nodash }}", "2026-03-05 20260305"),
        ("{{ ts }} {{ ts_nodash }}", "2026-03-05T06:30:00+00:00 20260305T063000"),
        ("{{ logical_date }}", "2026-03-05 06:30:00+00:00"),
        ("{{ logical_date.add(days=-1) | ds }}", "2026-03-04"),
        ("{{ logical_date.strftime('%d.%m.%Y') }} {{ logical_date.year }}", "05.03.2026 2026"),
        ("{{ logical_date.in_timezone('Europe/Stockholm') }}", "2026-03-05 07:30:00+01:00"),
        ("{{ macros.ds_add(ds, -5) }} {{ macros.ds_format(ds, '%Y-%m-%d', '%d/%m') }}", "2026-02-28 05/03"),
        ("{{ dag.dag_id }}.{{ task.task_id }} {{ ti.try_number }} {{ run_id }}", "sales.load 2 manual__1"),
        ("{{ dag_run.conf['n'] + 1 }} {{ params.n }} {{ conf.n }}", "6 5 5"),
        ("{% for i in range(3) %}{{ i }},{% endfor %}", "0,1,2,"),
    ] {
        assert_eq!(text(source), expected, "{source}");
    }
}

#[test]
fn a_run_has_airflows_fields_and_none_where_there_is_nothing() {
    for (source, expected) in [
        (
            "{{ ti.state }} {{ ti.start_date | ts }} {{ ti.end_date }} {{ ti.duration }}",
            "running 2026-03-05T06:31:00+00:00 None None",
        ),
        ("{{ ti.operator }} {{ dag_run.state }} {{ dag_run.external_trigger }}", "noop running True"),
        (
            "{{ inlets }}{{ outlets }}{{ test_mode }} {{ dag.start_date }} {{ task.trigger_rule }}",
            "[][]False None all_success",
        ),
        ("{{ ts_nodash_with_tz }} {{ macros.datetime.now() }}", "20260305T063000+0000 2026-03-05 06:31:00"),
        ("{{ '%05d' % conf.n }} {{ (run_after - logical_date).total_seconds() }}", "00005 60.0"),
    ] {
        assert_eq!(text(source), expected, "{source}");
    }
    let undated = Renderer::new(scope_at(json!({}), None));
    assert_eq!(
        undated.text("c", "{{ dag_run.logical_date is none }} {{ dag_run.data_interval_end }}").unwrap(),
        "True None"
    );
}

#[test]
fn the_last_success_is_looked_up() {
    let scope = scope(json!({}));
    let renderer = Renderer::new(Arc::clone(&scope));
    let source = "{{ prev_data_interval_end_success | ds }} {{ prev_end_date_success }}";
    assert!(renderer.text("c", source).is_err());
    assert!(scope.lookups().take_wanted().contains(&Wanted::PreviousSuccess));
    scope.lookups().learn(Wanted::PreviousSuccess, Some(json!({ "data_interval_end": 86_400_000_000_i64 })));
    assert_eq!(renderer.text("c", source).unwrap(), "1970-01-02 None");
    scope.lookups().learn(Wanted::PreviousSuccess, None);
    assert_eq!(renderer.text("c", "{{ prev_start_date_success is none }}").unwrap(), "True");
}

#[test]
fn an_undefined_name_is_told_with_its_line() {
    let error = Renderer::new(scope(json!({}))).text("command", "echo\necho {{ dss }}").unwrap_err();
    assert_eq!(error.line, Some(2));
    assert!(error.to_string().contains("`dss` is not defined"), "{error}");
    let error = Renderer::new(scope(json!({"a": 1}))).text("command", "{{ params.b }}").unwrap_err();
    assert!(error.to_string().contains("`params.b` is not defined") && error.to_string().contains("`a`"), "{error}");
    let error = Renderer::new(scope_at(json!({}), None)).text("command", "{{ ds }}").unwrap_err();
    assert!(error.to_string().contains("no logical date"), "{error}");
}

#[test]
fn a_run_without_a_logical_date_has_no_value_for_names_of_one() {
    let undated = Renderer::new(scope_at(json!({}), None));
    let names = "ds ds_nodash ts ts_nodash ts_nodash_with_tz logical_date data_interval_start data_interval_end";
    for name in names.split(' ') {
        let json = undated.json("parameters", &json!({ "day": format!("{{{{ {name} }}}}") })).unwrap_err();
        let condition = undated.condition("run_if", &format!("{{{{ {name} }}}}")).unwrap_err();
        for (error, field) in [(json, "parameters.day"), (condition, "run_if")] {
            let error = error.to_string();
            assert!(error.contains(&format!("of `{field}`, line 1: `{name}` is not defined\nhint: ")), "{error}");
            assert!(error.contains("this run has no logical date; use `run_after`"), "{error}");
        }
    }
    for source in ["{{ dag_run.logical_date }}", "{{ ds | default(none) }}"] {
        assert_eq!(undated.value("parameters", source).unwrap(), json!(null), "{source}");
    }
}

#[test]
fn a_wanted_xcom_is_noted_and_used_once_it_is_known() {
    let scope = scope(json!({}));
    let renderer = Renderer::new(Arc::clone(&scope));
    assert!(renderer.text("command", "{{ xcom.list.size }}").is_err());
    let wanted = scope.lookups().take_wanted();
    assert_eq!(wanted, [pull("list", "return_value", XComInstances::All, XComRun::This)]);
    scope.lookups().learn(wanted[0].clone(), Some(json!({"size": 4})));
    assert_eq!(renderer.text("command", "{{ xcom.list.size }}").unwrap(), "4");
    scope.lookups().learn(pull("b", "k", XComInstances::All, XComRun::This), None);
    let pulled = renderer.text("command", "{{ ti.xcom_pull(task_ids='b', key='k', default=7) }}").unwrap();
    assert_eq!(pulled, "7");
}

#[test]
fn a_pull_says_which_instances_and_which_run_it_means() {
    use XComInstances::{All, One, Several};
    for (arguments, expected) in [
        ("'a'", pull("a", "return_value", All, XComRun::This)),
        ("task_ids='a', key='k', map_indexes=3", pull("a", "k", One(3), XComRun::This)),
        ("'a', map_indexes=[2, 0]", pull("a", "return_value", Several(vec![2, 0]), XComRun::This)),
        ("'a', map_indexes=none, include_prior_dates=true", pull("a", "return_value", All, XComRun::ThisOrEarlier)),
        ("'a', run_id='r1'", pull("a", "return_value", All, XComRun::Named("r1".to_owned()))),
    ] {
        let scope = scope(json!({}));
        let source = format!("{{{{ ti.xcom_pull({arguments}) | tojson }}}}");
        assert!(Renderer::new(Arc::clone(&scope)).text("c", &source).is_err());
        assert_eq!(scope.lookups().take_wanted(), std::slice::from_ref(&expected), "{arguments}");
        scope.lookups().learn(expected, Some(json!([1, 2])));
        assert_eq!(Renderer::new(scope).text("c", &source).unwrap(), "[1, 2]", "{arguments}");
    }
    for (arguments, part) in [
        ("'a', map_indexes='x'", "`map_indexes` must be"),
        ("'a', run_id='r', include_prior_dates=true", "exclude each other"),
        ("7", "`task_ids` must be"),
        ("'a', colour=1", "colour"),
    ] {
        let error = Renderer::new(scope(json!({}))).text("c", &format!("{{{{ ti.xcom_pull({arguments}) }}}}"));
        let message = error.unwrap_err().message;
        assert!(message.contains(part), "{arguments}: {message}");
    }
}

#[test]
fn an_output_has_its_fields_and_behind_them_the_named_values() {
    let scope = scope(json!({}));
    let output = |task: &str| pull(task, "return_value", XComInstances::All, XComRun::This);
    scope.lookups().learn(output("table"), Some(json!({ "rows": 1, "name": "t" })));
    scope.lookups().learn(Wanted::Named("table".to_owned()), Some(json!({ "rows": 9, "place": "here" })));
    scope.lookups().learn(output("silent"), None);
    scope.lookups().learn(Wanted::Named("silent".to_owned()), Some(json!({ "place": "there" })));
    scope.lookups().learn(output("talks"), Some(json!("a line")));
    scope.lookups().learn(output("nothing"), None);
    scope.lookups().learn(Wanted::Named("nothing".to_owned()), Some(json!({})));
    let renderer = Renderer::new(scope);
    for (source, expected) in [
        ("{{ xcom.table.rows }} {{ xcom.table.place }}", "1 here"),
        ("{{ xcom.table | tojson }}", r#"{"name": "t", "rows": 1}"#),
        ("{% for key in xcom.table %}{{ key }} {% endfor %}", "rows name "),
        ("{{ xcom.silent.place }}", "there"),
        ("{{ xcom.nothing | default('-') }}", "-"),
        ("{{ xcom.talks.upper() }}", "A LINE"),
    ] {
        assert_eq!(renderer.text("c", source).unwrap(), expected, "{source}");
    }
    let missing = renderer.text("c", "{{ xcom.talks.place }}").unwrap_err().message;
    assert!(missing.contains("ti.xcom_pull(task_ids=\"talks\", key=\"place\")"), "{missing}");
}

#[test]
fn an_endless_template_ends() {
    let error = Renderer::new(scope(json!({})))
        .text("c", "{% for a in range(9999) %}{% for b in range(9999) %}x{% endfor %}{% endfor %}");
    assert!(error.unwrap_err().message.contains("come to an end"));
}

#[test]
fn places_where_no_value_is_safe_are_refused() {
    assert!(refusal("echo `ls {{ conf.n }}`").contains("backticks"));
    assert!(refusal("echo $(( {{ conf.bad }} + 1 ))").contains("arithmetic"));
    assert!(refusal("x=(1 2)\necho ${x[{{ conf.bad }}]}").contains("line 2"));
    assert!(refusal("echo \\{{ conf.n }}").contains("backslash"));
    assert_eq!(run_bash("echo $(( {{ conf.v }} + 1 ))", "41"), "42\n");
}

#[test]
fn a_raw_splice_has_to_be_asked_for() {
    assert_eq!(run_bash("{{ conf.v | safe }}", "echo a; echo b"), "a\nb\n");
    assert_eq!(run_bash("echo {{ conf.v }}", "a; echo b"), "a; echo b\n");
}

/// Every place in which a value can stand, with what comes before and after it in the output.
const PLACES: [(&str, &str, &str); 16] = [
    ("printf %s {{ conf.v }}", "", ""),
    ("printf %s \"a {{ conf.v }} b\"", "a ", " b"),
    ("printf %s 'a {{ conf.v }} b'", "a ", " b"),
    ("printf %s $'a\\t{{ conf.v }}'", "a\t", ""),
    ("printf %s pre{{ conf.v }}post", "pre", "post"),
    ("x={{ conf.v }}; printf %s \"$x\"", "", ""),
    ("printf %s \"$(printf %s {{ conf.v }}; printf .)\"", "", "."),
    ("printf %s \"$(printf %s \"{{ conf.v }}\"; printf .)\"", "", "."),
    ("printf %s \"${unset_variable:-{{ conf.v }}}\"", "", ""),
    ("# it's a {{ conf.v }} \"comment\nprintf %s {{ conf.v }}", "", ""),
    ("cat <<EOF\n'{{ conf.v }}'\nEOF\nprintf %s x", "'", "'\nx"),
    ("cat <<'EOF'; printf %s {{ conf.v }}\nit's \"\nEOF", "it's \"\n", ""),
    ("if [ {{ conf.v }} = x ]; then :; fi; printf %s {{ conf.v }}", "", ""),
    ("for f in {{ conf.v }}; do printf %s \"$f\"; done", "", ""),
    ("f() { printf %s \"$1\"; }; f {{ conf.v }}", "", ""),
    ("case x in (x) printf %s {{ conf.v }};; esac", "", ""),
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn the_command_sees_exactly_the_value(value in "[ -~\n\t'\"`$\\\\(){}\\[\\]*?!#~éß√]{0,24}") {
        for (source, before, after) in PLACES {
            prop_assert_eq!(run_bash(source, &value), format!("{before}{value}{after}"), "{}", source);
        }
    }
}

#[test]
fn variables_and_connections_are_looked_up_by_name() {
    let scope = scope(json!({}));
    let lookups = scope.lookups();
    lookups.learn(Wanted::Variable("region".to_owned()), Some(json!("eu")));
    lookups.learn(Wanted::Variable("limits".to_owned()), Some(json!("{\"rows\": [1, 2]}")));
    lookups.learn(Wanted::Variable("gone".to_owned()), None);
    let connection = json!({
        "conn_id": "db", "conn_type": "postgres", "host": "db.example", "port": 5432, "login": "ada",
        "password": "s@fe", "schema": "sales", "extra": { "sslmode": "require" },
    });
    lookups.learn(Wanted::Connection("db".to_owned()), Some(connection));
    lookups.learn(Wanted::Connection("gone".to_owned()), None);
    let renderer = Renderer::new(scope);
    let text = |source: &str| renderer.text("env.X", source).map_err(|error| error.to_string());
    assert_eq!(text("{{ var.value.region }} {{ var.json.limits.rows[1] }}").unwrap(), "eu 2");
    assert_eq!(text("{{ var.value.get('gone', 'x') }} {{ var.value.get('region') }}").unwrap(), "x eu");
    assert_eq!(
        text("{{ conn.db.login }}:{{ conn.db.password }}@{{ conn.db.host }}:{{ conn.db.port }}/{{ conn.db.schema }}")
            .unwrap(),
        "ada:s@fe@db.example:5432/sales"
    );
    assert_eq!(
        text("{{ conn.get('gone', none) is none }} {{ var.value.get('gone', default=none) is none }}").unwrap(),
        "True True"
    );
    assert_eq!(text("{{ 'there' if conn.db else 'gone' }} {{ 'a task' if ti else 'none' }}").unwrap(), "there a task");
    assert_eq!(text("{{ conn.db.extra_dejson.sslmode }} {{ conn.get('db') }}").unwrap(), "require db");
    assert_eq!(text("{{ conn.db.get_uri() }}").unwrap(), "postgres://ada:s%40fe@db.example:5432/sales?sslmode=require");
    let error = text("{{ var.value.gone }}").unwrap_err();
    assert!(
        error.contains("`var.value.gone` is not defined\nhint: set it with `flowctl variables set gone"),
        "{error}"
    );
    let error = text("{{ conn.gone.host }}").unwrap_err();
    assert!(error.contains("hint: set it with `flowctl connections set gone"), "{error}");
    let error = text("{{ conn.db.hots }}").unwrap_err();
    assert!(error.contains("connection `db` has no `hots`; it has `conn_type`, `host`"), "{error}");
    let error = text("{{ conn.get('gone').host }}").unwrap_err();
    assert!(error.contains("connection `gone` does not exist"), "{error}");
    let error = text("{{ var.region }}").unwrap_err();
    assert!(error.contains("write `var.value.<key>`"), "{error}");
    let error = text("{{ var.json.region }}").unwrap_err();
    assert!(error.contains("variable `region` is not JSON"), "{error}");
}

#[test]
fn what_has_not_been_fetched_is_wanted() {
    let scope = scope(json!({}));
    let renderer = Renderer::new(Arc::clone(&scope));
    for source in ["{{ var.value.region }}", "{{ conn.db.host }}"] {
        assert!(renderer.text("command", source).is_err());
    }
    let wanted = scope.lookups().take_wanted();
    assert_eq!(wanted[0], Wanted::Variable("region".to_owned()));
    assert!(wanted.contains(&Wanted::Connection("db".to_owned())));
}

proptest! {
    #[test]
    fn what_values_hold_is_never_markup(value in ".{0,60}") {
        let renderer = Renderer::new(scope(json!({ "v": value })));
        let escape = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        let text = renderer.escaped("text", "<!here> {{ conf.v }} <b>", escape).unwrap();
        let inside = text.strip_prefix("<!here> ").and_then(|text| text.strip_suffix(" <b>")).unwrap();
        prop_assert!(!inside.contains(['<', '>']));
        let back = inside.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
        prop_assert_eq!(back, value);
    }
}

/// The names with their fields as they are in an attempt.
fn real_fields(scope: &Arc<AttemptScope>, name: &str) -> (Value, Vec<String>) {
    use minijinja::value::Object;
    let value = scope.get_value(&Value::from(name)).unwrap();
    let mut fields: Vec<String> = match value.downcast_object_ref::<xcom::TaskInstanceValue>() {
        Some(instance) => instance.fields.keys().map(|field| (*field).to_owned()).collect(),
        None => value.try_iter().unwrap().map(|field| field.to_string()).collect(),
    };
    fields.sort();
    (value, fields)
}

#[test]
fn the_fields_that_the_check_knows_are_those_that_there_are() {
    use flow_template::fields::{FieldKind, WITH_FIELDS, fields_of};
    use minijinja::value::ValueKind;
    let scope = scope(json!({ "n": 5 }));
    let guide = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/dag-file.md");
    let guide = std::fs::read_to_string(guide).unwrap();
    for name in WITH_FIELDS {
        let (value, real) = real_fields(&scope, name);
        let declared = fields_of(name).unwrap();
        let mut names: Vec<&str> = declared.iter().map(|(field, _)| *field).collect();
        names.sort_unstable();
        assert_eq!(real, names, "{name}");
        let row = guide.lines().find(|line| line.starts_with('|') && line.contains(&format!("`{name}`"))).unwrap();
        for (field, kind) in declared {
            let found = value.get_attr(field).unwrap();
            let is_date = found.downcast_object_ref::<flow_template::DateValue>().is_some();
            let fits = match kind {
                FieldKind::Text => found.as_str().is_some(),
                FieldKind::Number => found.is_number(),
                FieldKind::Bool => found.kind() == ValueKind::Bool,
                FieldKind::Date => is_date,
                FieldKind::Texts => found.kind() == ValueKind::Seq,
                FieldKind::Table => found.kind() == ValueKind::Map,
                FieldKind::Nothing => found.is_none(),
            };
            assert!(fits || found.is_none(), "{name}.{field} is {found:?}, not {kind:?}");
            assert!(row.contains(&format!("`.{field}`")), "docs/dag-file.md does not tell of {name}.{field}");
        }
    }
}

#[test]
fn an_attempt_knows_where_it_runs_and_where_people_see_it() {
    let order = |map_index| {
        let mut order = order(json!({}), Some("2026-03-05T06:30:00Z"));
        order.run_id = "scheduled__2026-03-05T06:30:00+00:00".to_owned();
        order.map_index = map_index;
        order
    };
    let rendered = |map_index, pages_url: Option<&str>| {
        let place = AttemptPlace { host: "worker-7".to_owned(), pages_url: pages_url.map(str::to_owned) };
        let scope = Arc::new(AttemptScope::new(order(map_index), Arc::new(Lookups::default()), Arc::new(place)));
        Renderer::new(scope).text("text", "{{ ti.hostname }} {{ ti.log_url }}").unwrap()
    };
    let page = "/dags/sales/runs/scheduled__2026-03-05T06%3A30%3A00%2B00%3A00/tasks/load?try=2";
    assert_eq!(rendered(-1, None), "worker-7 None");
    assert_eq!(rendered(-1, Some("https://flow.example")), format!("worker-7 https://flow.example{page}"));
    assert_eq!(rendered(4, Some("http://h:8080/x")), format!("worker-7 http://h:8080/x{page}&map_index=4"));
}
