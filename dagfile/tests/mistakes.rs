//! Mistakes in DAG files, and what people read about them: one file in `mistakes/`, one snapshot.

use flow_dagfile::{check_text, render};

macro_rules! mistakes {
    ($($name:ident),* $(,)?) => {
        $(
            #[test]
            fn $name() {
                told(stringify!($name), include_str!(concat!("mistakes/", stringify!($name), ".toml")));
            }
        )*

        #[test]
        fn every_file_is_looked_at() {
            let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mistakes");
            let mut present: Vec<String> = std::fs::read_dir(folder)
                .unwrap()
                .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
                .collect();
            present.sort();
            let mut listed = [$(stringify!($name)),*];
            listed.sort_unstable();
            assert_eq!(present, listed);
        }
    };
}

mistakes!(
    after_the_end,
    branch_targets,
    branches,
    broken_toml,
    control,
    cycle,
    dates,
    docker,
    durations,
    empty,
    empty_names,
    group_cycle,
    groups,
    ids,
    kubernetes_pod,
    mapping,
    messages,
    mapping_cycle,
    mapping_sources,
    never_fires,
    not_templates,
    no_tasks,
    only_a_comment,
    operators,
    params,
    people,
    plugins,
    preset_none,
    scheduled_without_defaults,
    schedules,
    sensor_times,
    sensors,
    splices,
    starts,
    starts_itself,
    steps,
    template_xcoms,
    templates,
    ten_mistakes,
    callbacks,
    sql,
    trigger_dag,
    types,
    unknown_keys,
    upstreams,
    urls,
    values,
    window,
    zone,
);

#[track_caller]
fn told(name: &str, text: &str) {
    let file = check_text(&format!("{name}.toml"), text, None);
    let diagnostics = match &file.result {
        Ok(parsed) => &parsed.warnings,
        Err(diagnostics) => diagnostics,
    };
    assert!(!diagnostics.is_empty(), "nothing was found");
    let is_helpful =
        |diagnostic: &flow_dagfile::Diagnostic| diagnostic.hint.is_some() || diagnostic.message.contains("must be at");
    for diagnostic in diagnostics {
        assert!(is_helpful(diagnostic), "it does not say what to do: {diagnostic:#?}");
    }
    insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false }, {
        insta::assert_snapshot!(name, render(&file, false));
    });
}
