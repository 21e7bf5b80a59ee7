//! One mistake is one error: a key that an operator needs, written into another table, is not told as missing, too.

use flow_dagfile::{Severity, check_text, reference};
use toml::{Table, Value};

/// Tables that a key may be put into by mistake. The last name is a key of an operator's table.
const TABLES: [&[&str]; 4] = [&[], &["default_args"], &["tasks", "a"], &["tasks", "a", "env"]];

fn errors(file: &Table) -> Vec<String> {
    let text = toml::to_string(file).unwrap();
    let checked = check_text("file.toml", &text, None);
    let errors = checked.diagnostics().iter().filter(|one| one.severity == Severity::Error);
    errors.map(|one| format!("{} ({})", one.message, one.hint.as_deref().unwrap_or_default())).collect()
}

fn table<'a>(file: &'a mut Table, path: &[&str]) -> &'a mut Table {
    path.iter().fold(file, |table, key| {
        table.entry(*key).or_insert_with(|| Value::Table(Table::new())).as_table_mut().unwrap()
    })
}

/// The examples of operators, each as the only task of a file, its operator as a table.
fn examples() -> Vec<(String, Table)> {
    let sections = reference::sections().into_iter().filter(|section| section.short_form.is_some());
    let example = |section: reference::Section| {
        let file: Table = section.example.as_deref()?.parse().ok()?;
        let tasks = file.get("tasks")?.as_table()?;
        let task = tasks.values().find(|task| task.get(&section.name).is_some_and(Value::is_table))?;
        let mut alone = Table::new();
        alone.insert("params".to_owned(), file.get("params").cloned().unwrap_or(Value::Table(Table::new())));
        alone.insert("tasks".to_owned(), Value::Table(Table::from_iter([("a".to_owned(), task.clone())])));
        Some((section.name, alone))
    };
    sections.filter_map(example).collect()
}

#[test]
fn a_needed_key_in_a_wrong_table_is_one_mistake() {
    let (mut tried, mut wrong) = (0, Vec::new());
    let operators: Vec<String> = reference::sections().into_iter().map(|section| section.name).collect();
    for (operator, file) in examples() {
        let before = errors(&file).len();
        let own = ["tasks", "a", operator.as_str()];
        let keys: Vec<String> = table(&mut file.clone(), &own).keys().cloned().collect();
        for key in keys {
            let mut without = file.clone();
            let value = table(&mut without, &own).remove(&key).unwrap();
            if errors(&without).len() <= before {
                continue;
            }
            // The environment holds texts.
            for path in TABLES.into_iter().filter(|path| !path.contains(&"env") || value.is_str()) {
                let mut moved = without.clone();
                // In a task, the name of an operator is no stray key.
                let is_operator = path == ["tasks", "a"] && operators.contains(&key);
                if is_operator || table(&mut moved, path).insert(key.clone(), value.clone()).is_some() {
                    continue;
                }
                tried += 1;
                let told = errors(&moved);
                if told.len() != before + 1 {
                    wrong.push(format!("{operator}.{key} in [{}]: {told:#?}", path.join(".")));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(tried > 60, "{tried}");
}

#[test]
fn an_operator_in_a_wrong_table_is_one_mistake() {
    let (mut tried, mut wrong) = (0, Vec::new());
    for (operator, file) in examples() {
        let before = errors(&file).len();
        for path in [&[][..], &["default_args"], &["tasks", "a", "env"], &["task_groups", "g"]] {
            let mut moved = file.clone();
            let value = table(&mut moved, &["tasks", "a"]).remove(&operator).unwrap();
            // The operator's own mistakes, if it has any, are not looked for where it does not belong.
            if before > 0 || (path.contains(&"env") && !value.is_str()) {
                continue;
            }
            table(&mut moved, path).insert(operator.clone(), value);
            if path.contains(&"task_groups") {
                table(&mut moved, &["task_groups", "g", "tasks", "b"]).insert("noop".to_owned(), true.into());
                table(&mut moved, &["tasks", "a"]).insert("noop".to_owned(), true.into());
            }
            tried += 1;
            let told = errors(&moved);
            if told.len() != 1 {
                wrong.push(format!("{operator} in [{}]: {told:#?}", path.join(".")));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(tried > 60, "{tried}");
}

#[test]
fn what_is_told_of_a_misplaced_key() {
    for (text, expected) in [
        (
            "[tasks.a]\nurl = 'http://x.example'\n[tasks.a.http]\nmethod = 'GET'",
            "unknown key `url` (it is a key of `http`: write it below `[tasks.a.http]`)",
        ),
        (
            "[tasks.a.http]\nmethod = 'GET'\n[tasks.a.http.headers]\nurl = 'http://x.example'",
            "`http` has no `url` (`url` stands below the header of `headers`: move it above that header)",
        ),
        ("[tasks.a.http]\nulr = 'http://x.example'", "unknown key `ulr` (did you mean `url`?)"),
        (
            "[tasks.a]\n[tasks.a.env]\nA = '1'\nbash = 'true'",
            "task `a` has no operator (`bash` stands below the header of `env`: move it above that header)",
        ),
        (
            "[tasks.a]\nquery = 'select 1'\n[tasks.a.sql]\nconnection = 'db'",
            "unknown key `query` (it is a key of `sql`: write it below `[tasks.a.sql]`)",
        ),
        ("bash = 'true'\n[tasks.a]", "unknown key `bash` (it belongs in the table of a task, `[tasks.<id>]`)"),
        ("[task.a]\nbash = 'true'", "unknown key `task` (did you mean `tasks`?)"),
    ] {
        assert_eq!(errors(&text.parse().unwrap()), [expected], "{text}");
    }
    // Somebody else's mistake explains nothing.
    let two = "[tasks.a]\nbash = 'true'\nurl = 'http://x.example'\n[tasks.b.http]\nmethod = 'GET'";
    assert_eq!(errors(&two.parse().unwrap()).len(), 2);
}
