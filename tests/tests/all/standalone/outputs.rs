//! `outputs`: what a task leaves fits what it declares, whatever its operator, and wherever its success is decided.

use flow_tests::Standalone;

/// Each operator twice: once with a declaration that fits, once with one that does not.
const OPERATORS: &[(&str, &str, &str)] = &[
    ("shell", "bash = 'echo 3'", "string"),
    ("rows", "sql = { sqlite = '@FOLDER@/rows.db', query = 'select 1 as n' }\noutput = 'json'", "array"),
    ("way", "branch = { choose = '{{ [] }}' }", "array"),
    ("gate", "short_circuit = { condition = '{{ true }}' }", "boolean"),
    ("newest", "latest_only = true", "boolean"),
    ("other", "trigger_dag = 'target'", "string"),
    (
        "other_end",
        "trigger_dag = { trigger_dag_id = 'target', wait_for_completion = true, poke_interval = '100ms' }",
        "string",
    ),
    ("file", "file_sensor = { filepath = '@FOLDER@/dags/target.toml', poke_interval = '100ms' }", "array"),
    ("look", "command_sensor = { command = 'echo there', poke_interval = '100ms' }\noutput = 'last_line'", "string"),
    ("asked", "approval = { subject = 'Go?', defaults = ['Approve'], timeout = '200ms' }", "array"),
];

#[tokio::test(flavor = "multi_thread")]
async fn every_operator_that_leaves_a_value_is_held_to_it() {
    let mut text = String::new();
    for (name, operator, kind) in OPERATORS {
        let key = if *name == "asked" { "chosen_options" } else { "return_value" };
        for (end, kind) in [("fits", *kind), ("misfits", "object")] {
            text.push_str(&format!(
                "[tasks.{name}_{end}]\n{operator}\noutputs = {{ {key} = {{ type = '{kind}' }} }}\n"
            ));
        }
    }
    let mut flow = Standalone::with(&[("target", "[tasks.a]\nnoop = true\n"), ("declares", &text)]).await;
    let run = flow.trigger("declares");
    assert_eq!(flow.finished("declares", &run).await, "failed");
    for (name, ..) in OPERATORS {
        flow.task_is("declares", &run, &format!("{name}_fits"), "success").await;
        let misfit = format!("{name}_misfits");
        flow.task_is("declares", &run, &misfit, "failed").await;
        let log = flow.api().log("declares", &run, &misfit, 1).await.unwrap().join("\n");
        assert!(
            log.contains("does not fit its declaration") && log.contains("hint: the task's `outputs`"),
            "{misfit}: {log}"
        );
    }
    flow.stop_and_audit().await;
}
