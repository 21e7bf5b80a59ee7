//! Mistakes in templates, and what is said about them.

use proptest::prelude::*;

use super::*;
use crate::engine::environment;
use crate::names::{OF_AIRFLOW_2, TEMPLATE_NAMES};

/// A file that knows the names of every template, and nothing about what they hold.
struct Known;

impl Vocabulary for Known {
    fn names(&self) -> Vec<String> {
        TEMPLATE_NAMES.map(str::to_owned).to_vec()
    }

    fn is_open(&self) -> bool {
        false
    }

    fn look_at(&self, _: &Reference<'_>) -> Vec<Fault> {
        Vec::new()
    }
}

/// Message and hint of each fault, with the place in front.
fn faults(source: &str) -> Vec<String> {
    analyse(source, false, &Known)
        .into_iter()
        .map(|fault| format!("[{}] {} ({})", &source[fault.span], fault.message, fault.hint))
        .collect()
}

fn only(source: &str) -> String {
    let found = faults(source);
    assert_eq!(found.len(), 1, "{source}: {found:#?}");
    found[0].clone()
}

#[test]
fn every_mistake_of_syntax_is_told_in_words_of_templates() {
    for (source, told) in [
        ("{% if %}x{% endif %}", "[%}] a statement ends before it says anything"),
        ("{{ }}", "[}}] an expression ends before it says anything"),
        ("{{ ds", "[{{] `{{` is never closed (close it with `}}`)"),
        ("x {{ ds }", "[}] `}` alone ends nothing here"),
        ("{% if ds }}x", "[}] `}` alone ends nothing here"),
        ("{% if ds", "[{%] `{%` is never closed (close it with `%}`)"),
        ("{% if ds %}x", "[{%] `{% if %}` is never closed (write `{% endif %}` behind what belongs to it)"),
        ("{% for x in params.l %}x", "[{%] `{% for %}` is never closed"),
        ("{{ 'ds }}", "[{{] a text in quotes is never closed"),
        ("{% iff ds %}{% endif %}", "[iff] there is no statement `iff` (did you mean `if`?)"),
        ("x{% endfor %}", "[endfor] `{% endfor %}` closes nothing"),
        ("{% else %}", "[else] `{% else %}` stands in no `if`"),
        ("{{ ds run_id }}", "[run_id] a name cannot stand here: `}}` is expected"),
        ("{{ ds | }}", "[}}] `}}` cannot stand here: a name is expected"),
        ("{{ ds && ts }}", "[&] `&` means nothing in an expression (write `and`"),
        ("{{ ds ? 1 : 2 }}", "[?] `?` means nothing in an expression"),
        ("{{ $ds }}", "[$] `$` means nothing in an expression"),
        ("{{ ds = 1 }}", "[=] `=` compares nothing (write `==`"),
        ("{{ [x for x in params.l] }}", "[for] a list cannot be written with `for` inside"),
        ("a {# b", "[{#] `{#` begins a comment that never ends"),
        ("{% raw %}x", "[raw] `{% raw %}` is never closed"),
        (
            "docker ps --format '{{.Names}}'",
            "[{{.Names}}] `{{.Names}}` is read as an expression of this template (where another program is meant to read it, write `{% raw %}{{.Names}}{% endraw %}`)",
        ),
        ("{{ range .Items }}{{ .x }}{{ end }}", "[{{ .x }}] `{{ .x }}` is read as an expression"),
        ("{% include 'x' %}", "] `{% include %}` leads nowhere"),
    ] {
        let found = only(source);
        assert!(found.contains(told), "{source}: {found}");
    }
}

#[test]
fn all_mistakes_are_told_at_once() {
    assert_eq!(
        faults("{{ ds | uper }} {{ dss }} {% if ds is defind %}{{ nope(1) }}{% endif %}"),
        [
            "[uper] there is no filter `uper` (did you mean `upper`?)",
            "[dss] `dss` means nothing in a template (did you mean `ds`?)",
            "[defind] there is no test `defind` (did you mean `defined`?)",
            "[nope] there is no function `nope` (the functions are `cycler`, `debug`, `dict`, `joiner`, `namespace`, `range`; most things are filters here, such as `| length`)",
        ]
    );
}

#[test]
fn what_the_template_gives_a_name_is_known() {
    for good in [
        "{% set x = 1 %}{{ x }}",
        "{% for a, b in params.l %}{{ a }}{{ b }}{{ loop.index }}{% else %}none{% endfor %}",
        "{% macro m(a, b=2) %}{{ a }}{{ b }}{{ caller() }}{% endmacro %}{% call m(1) %}x{% endcall %}{{ m(2) }}",
        "{% with x = ds %}{{ x }}{% endwith %}",
        "{{ range(3) | list }} {{ dict(a=1) }} {% set n = namespace(x=1) %}{% set n.x = 2 %}",
        "{% filter upper %}{{ ds }}{% endfilter %}",
        "{{ params['a-b'][0].c | default('x') }}",
        "{% raw %}{{ nothing }}{% endraw %}",
    ] {
        assert_eq!(faults(good), [""; 0], "{good}");
    }
}

#[test]
fn what_is_asked_for_first_may_be_missing() {
    let fault = &analyse("{% if mode is defined %}{{ mode }}{% endif %}", false, &Known)[0];
    assert!(fault.is_warning, "{fault:?}");
}

#[test]
fn methods_and_fields_of_what_is_known_are_tried_out() {
    for (source, told) in [
        ("{{ logical_date.strftim('%Y') }}", "has no method `strftim`"),
        ("{{ logical_date.yaer }}", "`logical_date.yaer` leads to a value that is never there"),
        ("{{ ds.foo() }}", "text has no method `foo`"),
        ("{{ ds | replace('a') }}", "lacks an argument"),
        ("{{ macros.ds_add(ds) }}", "`macros.ds_add`"),
        ("{{ ds | upper(1) }}", "passes more than is taken"),
    ] {
        let found = only(source);
        assert!(found.contains(told), "{source}: {found}");
    }
    for good in [
        "{{ logical_date.subtract(days=1) | ds }}",
        "{{ macros.ds_add(ds, -7) }}",
        "{{ ds.replace('-', '') }}",
        "{{ logical_date.yaer | default('x') }}",
    ] {
        assert_eq!(faults(good), [""; 0], "{good}");
    }
}

#[test]
fn lengths_of_shell_variables_get_a_remedy_that_works() {
    let source = "a=(1 2); echo ${#a[@]} {{ ds }} ${#b}";
    let found = analyse(source, true, &Known);
    assert_eq!(found.len(), 2, "{found:?}");
    let remedy = |fault: &Fault| fault.hint.split('`').nth(1).unwrap().to_owned();
    let mended = source.replacen("${#a[@]}", &remedy(&found[0]), 1).replacen("${#b}", &remedy(&found[1]), 1);
    assert_eq!(analyse(&mended, true, &Known), []);
    let rendered = environment().render_str(&mended, minijinja::context! { ds => "2026-03-05" }).unwrap();
    assert_eq!(rendered, "a=(1 2); echo ${#a[@]} 2026-03-05 ${#b}");
    // In a comment that is closed by chance, what stands between is lost.
    assert_eq!(analyse("echo ${#a} # {{ ds }} #}", true, &Known).len(), 1);
}

#[test]
fn other_programs_braces_get_a_remedy_that_works() {
    for source in ["docker ps --format '{{.Names}}'", "kubectl get -o go-template='{{range .items}}{{.x}}{{end}}'"] {
        let mut text = source.to_owned();
        for _ in 0..3 {
            let Some(fault) = analyse(&text, true, &Known).into_iter().next() else { break };
            let Some(remedy) = fault.hint.split('`').nth(1) else { break };
            text.replace_range(fault.span, remedy);
        }
        assert!(text.contains("{% raw %}"), "{text}");
    }
}

#[test]
fn names_of_airflow_2_are_translated() {
    for (name, hint) in OF_AIRFLOW_2 {
        if TEMPLATE_NAMES.contains(&name) {
            continue;
        }
        assert!(only(&format!("{{{{ {name} }}}}")).contains(hint), "{name}");
    }
    // What is suggested is known to the engine, as far as it is whole.
    for suggested in ["data_interval_end | ds", "macros.ds_add(ds, -1)", "logical_date.subtract(days=1) | ds_nodash"] {
        assert_eq!(faults(&format!("{{{{ {suggested} }}}}")), [""; 0]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(500) })]

    /// Whatever stands in a text, the analysis comes to an end, its places are within the text, and it says nothing only of
    /// what the engine can read.
    #[test]
    fn any_text_is_looked_at(source in r#"(\{\{|\}\}|\{%|%\}|\{#|#\}| |ds|if|for|in|endif|endfor|raw|endraw|'|"|\||\.|\(|\)|x|é|1|,|\$|\[|\]|-|\n){0,24}"#, is_shell in any::<bool>()) {
        let found = analyse(&source, is_shell, &Known);
        for fault in &found {
            prop_assert!(source.get(fault.span.clone()).is_some(), "{:?}", fault);
            prop_assert!(!fault.message.is_empty() && !fault.hint.is_empty(), "{:?}", fault);
        }
        let is_read = environment().template_from_named_str("t", &source).is_ok();
        prop_assert!(is_read || found.iter().any(|fault| !fault.is_warning), "{}", source);
    }
}
