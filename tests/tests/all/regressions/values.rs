//! Values that became something else.

use std::io::{Read, Write};
use std::net::TcpListener;

use serde_json::{Value, json};

use super::Place;

const FILTERED: &str = r#"
dag_id = "inject"
[params]
v = "plain"
[tasks.a]
bash = "echo {{ params | tojson }}"
[tasks.b]
bash = "echo {{ params.v | tojson }}"
[tasks.c]
bash = '''cat <<END
{{ params | tojson }}
END'''
[tasks.d]
bash = "echo \"{{ params | tojson }}\""
[tasks.e]
bash = "echo {{ params.v | escape }}"
[tasks.f]
bash = "echo {{ params | tojson }}"
output = "json"
[tasks.g]
bash = "echo {% filter upper %}{{ params.v }}{% endfilter %}"
"#;

pub(super) async fn a_value_that_went_through_a_filter_is_no_code(place: &Place) {
    let canary = place.path("owned");
    let at = canary.display();
    let hostile = format!("$(touch {at}_1)`touch {at}_2`; touch {at}_3");
    for value in ["plain", &hostile] {
        let run = place.succeeded("inject", FILTERED, &["-p", &format!("v={value}")]).await;
        let object = json!({ "v": value });
        let printed = serde_json::to_string(value).unwrap();
        // As Jinja writes it: with a space after the colon.
        let whole = format!("{{\"v\": {printed}}}");
        for (task, left) in [
            ("a", json!(whole)),
            ("b", json!(printed)),
            ("c", json!(whole)),
            ("d", json!(whole)),
            ("e", json!(value)),
            ("f", object),
            ("g", json!(value.to_uppercase())),
        ] {
            assert_eq!(place.left("inject", &run, task).await, left, "{task}");
        }
    }
    for number in 1..=3 {
        assert!(!place.path(&format!("owned_{number}")).exists(), "a value became code");
    }
}

const CRLF: &str = "[tasks.a]\r\nbash = \"\"\"\r\nset -e\r\nif true; then\r\n  echo yes\r\nfi\r\n\"\"\"\r\n";

pub(super) async fn a_script_with_windows_line_ends_runs(place: &Place) {
    let run = place.succeeded("crlf", CRLF, &[]).await;
    assert_eq!(place.left("crlf", &run, "a").await, "yes");
}

const BIG: &str = r#"
[tasks.big]
bash = "echo '{\"a\": 12345678901234567890123}'"
output = "json"
[tasks.use]
depends_on = ["big"]
command = ["printf", "%s", "{{ xcom.big.a }}"]
"#;

pub(super) async fn big_integers_keep_their_digits(place: &Place) {
    let run = place.succeeded("big", BIG, &[]).await;
    let number: Value = serde_json::from_str(r#"{"a": 12345678901234567890123}"#).unwrap();
    assert_eq!(place.left("big", &run, "big").await, number);
    assert_eq!(place.left("big", &run, "use").await, "12345678901234567890123");
}

const FORMATS: &str = r#"
[tasks.a]
command = ["printf", "%s", "{{ '%02d' % 3 }}"]
[tasks.b]
command = ["printf", "%s", "{{ '%.2f%%' % 7.5 }}"]
[tasks.c]
command = ["printf", "%s", "{{ '%s-%d' % ('a', 1) }}"]
[tasks.d]
command = ["printf", "%s", "{{ '7'.zfill(3) }}"]
"#;

pub(super) async fn percent_formats_and_zfill(place: &Place) {
    let run = place.succeeded("formats", FORMATS, &[]).await;
    for (task, left) in [("a", "03"), ("b", "7.50%"), ("c", "a-1"), ("d", "007")] {
        assert_eq!(place.left("formats", &run, task).await, left, "{task}");
    }
}

const MARKED: &str = r#"
[params]
name = "world"
[tasks.greet]
command = ["printf", "%s", "{{ params.name }}"]
[tasks.print]
bash = 'printf "\xef\xbb\xbf{\"a\": 1}"'
output = "json"
[tasks.ask]
http_sensor = { url = "@URL@", response_check = { path = "name", equals = "Ada" }, poke_interval = "1s" }
"#;

pub(super) async fn byte_order_marks_are_no_content(place: &Place) {
    const ADA: &str = "\u{feff}{\"name\": \"Ada\"}";
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let url = format!("http://{}/", listener.local_addr().expect("an address"));
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.read(&mut [0; 4_096]);
            let _ =
                write!(stream, "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{ADA}", ADA.len());
        }
    });
    std::fs::write(place.path("bom.json"), ADA).unwrap();
    let run = place.succeeded("marked", &MARKED.replace("@URL@", &url), &["--conf", "@bom.json"]).await;
    assert_eq!(place.left("marked", &run, "greet").await, "Ada");
    assert_eq!(place.left("marked", &run, "print").await, json!({ "a": 1 }));
    place.flowctl(&["variables", "import", "bom.json"]).expect(0);
    assert_eq!(place.flowctl(&["variables", "get", "name"]).expect(0).stdout.trim(), "Ada");
}

const LONG: &str = r#"
[tasks.last]
bash = "head -c 100000 /dev/zero | tr '\\0' x; echo END"
[tasks.use]
depends_on = ["last"]
command = ["bash", "-c", "case \"$1\" in *END) echo whole;; *) echo cut;; esac", "x", "{{ xcom.last }}"]
"#;

pub(super) async fn the_last_line_is_whole(place: &Place) {
    let run = place.succeeded("long", LONG, &[]).await;
    let last = place.left("long", &run, "last").await;
    assert_eq!(last.as_str().map(str::len), Some(100_003));
    assert_eq!(place.left("long", &run, "use").await, "whole");
}
