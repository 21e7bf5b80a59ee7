//! For any value: it is what it is, in whatever it stands. Processes, databases and servers get it in
//! `tests/tests/all/standalone/sinks.rs`; here it is the text that they are sent.

use lettre::message::Mailbox;
use percent_encoding::percent_decode_str;
use proptest::prelude::*;
use reqwest::Url;
use serde_json::json;

use super::tests::scope;
use super::*;

/// Values that mean something somewhere, and any others.
fn hostile() -> impl Strategy<Value = String> {
    let known = [
        "",
        ".",
        "..",
        "../..",
        "/",
        "//evil.example/",
        "\\\\evil.example",
        "@evil.example",
        "x@evil.example:1/",
        "?a=b&c=d#e",
        "%2e%2e",
        "%2F",
        "%00",
        "a b+c",
        "a\r\nX-Evil: 1",
        "{{ conn.db.password }}",
        "{% raw %}",
        "{# x #}",
        "a, b@evil.example",
        "ada@example.org>, <b@evil.example",
        "\"",
        "*",
        "[a-z]",
        "**",
        "?",
        "~",
        "é√\u{1f600}",
        "\u{0}",
        "[x](https://evil.example)",
        "# title",
        "- item",
        "12. item",
        "`code`",
        "```\n# out",
        "**bold**",
        "<b>",
        "\n\n# x",
        "http://evil.example",
        "javascript:alert(1)",
        "\u{E0F0}7:0\u{E0F1}",
        "\t",
        " ",
        "xn--",
        "1e1",
    ];
    prop_oneof![
        2 => proptest::sample::select(known.to_vec()).prop_map(str::to_owned),
        1 => proptest::collection::vec(proptest::sample::select(known.to_vec()), 1..4).prop_map(|parts| parts.concat()),
        2 => "[ -~éß√\n\t]{0,24}",
        1 => any::<String>(),
    ]
}

fn renderer(value: &str) -> Renderer {
    Renderer::new(scope(json!({ "v": value, "w": { value: value }, "list": [value] })))
}

fn url(source: &str, value: &str) -> Result<Url, String> {
    let text = renderer(value).url("url", source, UrlStart::Scheme).map_err(|error| error.message)?;
    Url::parse(&text).map_err(|error| format!("{text}: {error}"))
}

fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8().unwrap().into_owned()
}

/// Whether a value may be refused as a step of a path.
fn is_dots(step: &str) -> bool {
    matches!(step, "." | "..")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_value_in_a_url_is_one_step_of_its_path(value in hostile()) {
        for (source, before, after) in [
            ("http://h.example:81/a/{{ conf.v }}/b?x=1#f", "", ""),
            ("http://h.example:81/a/x{{ conf.v }}y/b?x=1#f", "x", "y"),
            ("http:\\\\h.example:81\\a\\{{ conf.v }}\\b?x=1#f", "", ""),
            (" http://h.example:81/a/.{{ conf.v }}/b?x=1#f", ".", ""),
            ("http://h.example:81/{% if true %}a{% endif %}/{{ conf.v }}%2e/b?x=1#f", "", "."),
        ] {
            let step = format!("{before}{value}{after}");
            let found = url(source, &value);
            if is_dots(&step.replace("%2e", ".").replace("%2E", ".")) {
                prop_assert!(found.is_ok() == step.contains('%') || found.unwrap_err().contains("hint: "));
                continue;
            }
            let url = found.map_err(TestCaseError::fail)?;
            prop_assert_eq!((url.scheme(), url.host_str(), url.port()), ("http", Some("h.example"), Some(81)));
            let steps: Vec<String> = url.path_segments().unwrap().map(decoded).collect();
            prop_assert_eq!(steps, ["a", &step, "b"]);
            prop_assert_eq!((url.query(), url.fragment()), (Some("x=1"), Some("f")));
        }
    }

    #[test]
    fn a_value_in_a_query_or_fragment_is_one_value(value in hostile()) {
        let url = url("https://h.example/p?q={{ conf.v }}&z={{ conf.v }}#{{ conf.v }}", &value).map_err(TestCaseError::fail)?;
        prop_assert_eq!((url.host_str(), url.path()), (Some("h.example"), "/p"));
        let pairs: Vec<(String, String)> = url.query_pairs().into_owned().collect();
        prop_assert_eq!(pairs, [("q".to_owned(), value.clone()), ("z".to_owned(), value.clone())]);
        prop_assert_eq!(decoded(url.fragment().unwrap()), value);
    }

    #[test]
    fn a_value_never_chooses_the_host(value in hostile()) {
        for source in ["{{ conf.v }}", "{{ conf.v }}/x", "{{ conf.v }}://h.example/", "{{ 'https://' ~ conf.v }}", "h{{ conf.v }}"] {
            prop_assert!(url(source, &value).is_err(), "{}", source);
        }
        for source in [
            "https://{{ conf.v }}.example.org/p", "https:{{ conf.v }}.example.org/p", "https:///{{ conf.v }}.example.org/p",
            "https://a{{ conf.v }}.example.org/p",
        ] {
            if let Ok(url) = url(source, &value) {
                prop_assert!(url.host_str().unwrap().ends_with(".example.org"), "{}", url);
                prop_assert_eq!((url.path(), url.port(), url.username()), ("/p", None, ""));
            }
        }
        if let Ok(url) = url("http://h.example:{{ conf.v }}/p", &value) {
            prop_assert_eq!((url.host_str(), url.path()), (Some("h.example"), "/p"));
        }
        let login = url("https://{{ conf.v }}:{{ conf.v }}@h.example/p", &value).map_err(TestCaseError::fail)?;
        prop_assert_eq!((login.host_str(), login.path()), (Some("h.example"), "/p"));
        prop_assert_eq!((decoded(login.username()), decoded(login.password().unwrap_or_default())), (value.clone(), value));
    }

    #[test]
    fn a_value_in_the_path_below_a_connection_stays_there(value in hostile()) {
        let text = renderer(&value).url("url", "{{ conf.v }}/jobs/{{ conf.v | urlencode }}?{{ conf.w | urlencode }}", UrlStart::Path);
        let Ok(text) = text else { prop_assume!(false); return Ok(()) };
        let connection = flow_model::Connection::from_uri("api", "https://ada:word@h.example/https").unwrap();
        let url = Url::parse(&connection.http_target(&text).unwrap().url).unwrap();
        prop_assert_eq!((url.host_str(), url.fragment()), (Some("h.example"), None));
        prop_assert!(value.is_empty() || decoded(url.path_segments().unwrap().next().unwrap()) == value);
        let end = format!("/jobs/{value}");
        prop_assert!(decoded(url.path()).ends_with(&end));
        let pairs: Vec<(String, String)> = url.query_pairs().into_owned().collect();
        prop_assert_eq!(pairs, [(value.clone(), value)]);
    }

    #[test]
    fn a_value_never_leads_out_of_its_folder(value in hostile()) {
        let rendered = renderer(&value).path("cwd", "/data/{{ conf.v }}/in{{ conf.v }}", str::to_owned);
        match rendered {
            Ok(path) => {
                prop_assert_eq!(&path, &format!("/data/{value}/in{value}"));
                prop_assert!(!path.split('/').any(|step| step == ".."));
            }
            Err(error) => {
                prop_assert!(value.split('/').any(|step| step == ".."), "{}", value);
                prop_assert!(error.message.contains("hint: "));
            }
        }
    }

    #[test]
    fn a_value_is_one_address_at_most(value in hostile()) {
        let domains = |source: &str| -> Result<Vec<String>, String> {
            let addresses = renderer(&value).addresses("to", source).map_err(|error| error.message)?;
            let parsed: Result<Vec<Mailbox>, _> = addresses.iter().map(|address| address.parse()).collect();
            Ok(parsed.map_err(|error| error.to_string())?.iter().map(|mailbox| mailbox.email.domain().to_owned()).collect())
        };
        if let Ok(domains) = domains("{{ conf.v }}@example.org, Ada {{ conf.v }} <ada@example.org>, bob@example.org") {
            prop_assert_eq!(domains, ["example.org", "example.org", "example.org"]);
        }
        if let Ok(domains) = domains("bob@example.org, {{ conf.v }}") {
            prop_assert_eq!(domains.len(), 2);
        }
    }

    #[test]
    fn a_value_is_never_rendered_again(value in hostile()) {
        let renderer = renderer(&value);
        prop_assert_eq!(&renderer.text("t", "a {{ conf.v }} b").unwrap(), &format!("a {value} b"));
        prop_assert_eq!(renderer.text("t", "{{ conf.list[0] }}").unwrap(), value.clone());
        let rendered = renderer.json("json", &json!({ "{{ conf.v }}": ["{{ conf.v }}", 1, { "a": "x{{ conf.v }}" }] })).unwrap();
        prop_assert_eq!(rendered, json!({ "{{ conf.v }}": [value.clone(), 1, { "a": format!("x{value}") }] }));
        prop_assert_eq!(renderer.escaped("t", "{{ conf.v }}", str::to_owned).unwrap(), value);
    }
}

#[test]
fn a_url_may_be_taken_as_it_is() {
    let base = "https://other.example/a b/../c?x=/";
    assert_eq!(url("{{ conf.v | safe }}", base).unwrap().as_str(), "https://other.example/c?x=/");
    assert_eq!(url("{{ conf.v | safe }}{{ conf.v }}", "https://h/").unwrap().as_str(), "https://h/https%3A%2F%2Fh%2F");
    assert_eq!(url("https://h/{{ conf.v | urlencode }}", "a b/c?d").unwrap().as_str(), "https://h/a%20b/c%3Fd");
    let climbing = url("https://h/x/{{ conf.v | urlencode }}", "a/../../b").unwrap_err();
    assert!(climbing.contains("hint: allow only what is meant"), "{climbing}");
    let start = url("{{ conf.v }}/x", "https://h").unwrap_err();
    assert!(start.contains("`{{ ... | safe }}`"), "{start}");
}

#[test]
fn a_file_is_named_by_its_value_without_wildcards() {
    let brackets = |value: &str| value.replace('*', "[*]");
    let text = renderer("a*b/2026").path("filepath", "/in/{{ conf.v }}/*.csv", brackets);
    assert_eq!(text.unwrap(), "/in/a[*]b/2026/*.csv");
}

#[test]
fn a_value_in_markdown_is_text() {
    let markdown = |source: &str, value: &str| renderer(value).markdown("body", source).unwrap();
    assert_eq!(
        markdown("see {{ conf.v }}", "[x](https://evil) 2026-03-05, a_b"),
        "see \\[x\\]\\(https://evil\\) 2026-03-05, a\\_b"
    );
    assert_eq!(markdown("{{ conf.v }}", "a\n# b\n- c\n12. d"), "a\n\\# b\n\\- c\n12\\. d");
    assert_eq!(markdown("`{{ conf.v }}` *x*", "a`b\nc*"), "`a'b c*` *x*");
    assert_eq!(markdown("```\n{{ conf.v }}\n```\n{{ conf.v }}", "``` <b>"), "```\n''' <b>\n```\n\\`\\`\\` \\<b\\>");
    assert_eq!(markdown("{{ conf.v | safe }}", "**b**"), "**b**");
}
