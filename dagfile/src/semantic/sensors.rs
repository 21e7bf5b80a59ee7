//! What the types of sensors cannot say.

use std::ops::Range;
use std::time::Duration;

use flow_model::operator::Operator;
use flow_model::operator::sensor::{ExternalTaskSensor, HttpSensor};
use flow_model::suggest::{listed, nearest};
use flow_model::time::duration_text;

use super::layout::Layout;
use super::splices;
use super::tasks::METHODS;
use crate::diagnostic::Problems;
use crate::tree::Node;

const POKE_INTERVAL_DEFAULT: Duration = Duration::from_secs(60);

/// Nobody looks at these.
const TIMERS: [&str; 4] = ["time_sensor", "date_time_sensor", "time_delta_sensor", "day_of_week_sensor"];

/// Nobody needs to look more often, and a slip of the unit would flood whoever is asked.
const POKE_INTERVAL_MIN: Duration = Duration::from_millis(10);

pub(super) fn check(operator: &Operator, node: &Node, problems: &mut Problems) {
    let Some(waiting) = operator.waiting() else { return };
    let place = |field: &str| node.deepest(&[field]).span.clone();
    if waiting.poll.interval < POKE_INTERVAL_MIN {
        problems.add(place("poke_interval"), "`poke_interval` must be at least 10ms").hint("for instance \"30s\"");
    }
    if waiting.timeout.is_zero() {
        problems.add(place("timeout"), "`timeout` must be longer than zero").hint("for instance \"6h\"");
    }
    if waiting.poll.max_wait.is_some() && !waiting.poll.exponential_backoff {
        problems
            .add(place("max_wait"), "`max_wait` says nothing here: the time between two looks does not grow")
            .hint("add `exponential_backoff = true`, or take `max_wait` away");
    }
    match operator {
        Operator::TimeSensor(sensor) => {
            let is_template = sensor.target_time.contains("{{");
            if !is_template && sensor.target_time.parse::<jiff::civil::Time>().is_err() {
                problems
                    .add(place("target_time"), format!("`{}` is not a time of day", sensor.target_time))
                    .hint("for instance \"06:30\" or \"06:30:00\"");
            }
            let _ = super::schedule::zone(node.get("timezone"), "UTC", problems);
        }
        Operator::DayOfWeekSensor(sensor) => {
            if sensor.week_day.is_empty() {
                problems.add(place("week_day"), "`week_day` names no day").hint("for instance [\"monday\"]");
            }
            let _ = super::schedule::zone(node.get("timezone"), "UTC", problems);
        }
        Operator::FileSensor(sensor) => check_path(&sensor.filepath, place("filepath"), problems),
        Operator::HttpSensor(sensor) => check_http(sensor, node, problems),
        Operator::RedisKeySensor(sensor) => {
            super::sql::check_connection(&sensor.connection, node, problems);
            check_key(&sensor.key, place("key"), problems);
        }
        Operator::RedisStreamSensor(sensor) => {
            super::sql::check_connection(&sensor.connection, node, problems);
            check_key(&sensor.stream, place("stream"), problems);
        }
        Operator::ExternalTaskSensor(sensor) => check_external(sensor, node, problems),
        Operator::CommandSensor(sensor) if sensor.command.trim().is_empty() => {
            problems
                .add(place("command"), "the text of `command_sensor` is empty")
                .hint("for instance \"test -e ready\"");
        }
        _ => {}
    }
}

/// What works, and is probably not meant.
pub(super) fn warn(layout: &Layout<'_>, warnings: &mut Problems) {
    let sensors = layout.tasks.iter().flat_map(|task| task.entry.node.entries());
    for sensor in sensors.filter(|entry| entry.key.ends_with("_sensor") && !TIMERS.contains(&entry.key.as_str())) {
        let duration = |field: &str| sensor.node.get(field).map(|node| duration_text::deserialize(node.to_json()));
        let (Some(Ok(timeout)), poke_interval) = (duration("timeout"), duration("poke_interval")) else { continue };
        let Ok(poke_interval) = poke_interval.unwrap_or(Ok(POKE_INTERVAL_DEFAULT)) else { continue };
        if timeout <= poke_interval && !timeout.is_zero() {
            let shown = duration_text::format(poke_interval);
            warnings
                .add(
                    sensor.node.deepest(&["timeout"]).span.clone(),
                    format!("it looks only once: `timeout` is not longer than `poke_interval` ({shown})"),
                )
                .hint("shorten `poke_interval`, or raise `timeout`");
        }
    }
}

fn check_path(path: &str, span: Range<usize>, problems: &mut Problems) {
    if path.trim().is_empty() {
        problems.add(span, "`filepath` is empty").hint("name a file, such as \"/data/in/{{ ds }}.csv\"");
    } else if !path.starts_with(['/', '{']) {
        problems
            .add(span, format!("`{path}` is a relative path, and triggerers run anywhere"))
            .hint("write the whole path, beginning with `/`");
    } else if path.contains('[') && !path.contains(']') {
        problems
            .add(span, "a `[` in the pattern is never closed, so nothing fits it")
            .hint("close it with `]`, or write `[[]` for the character itself");
    }
}

fn check_key(key: &str, span: Range<usize>, problems: &mut Problems) {
    if key.trim().is_empty() {
        problems.add(span, "the key is empty").hint("for instance \"ready:{{ ds }}\"");
    }
}

/// Where a request goes to: an address, or a path where a connection has the host.
pub(crate) fn check_url(url: &str, connection: Option<&str>, node: &Node, problems: &mut Problems) {
    let url = url.trim();
    let place = node.deepest(&["url"]).span.clone();
    match connection {
        Some(_) if url.contains("://") => {
            problems
                .add(place, format!("`{url}` has a host, and the connection has one, too"))
                .hint("write only the path, or leave the connection out");
        }
        Some(_) => {}
        None if url.starts_with("http://") || url.starts_with("https://") || url.starts_with("{%") => {}
        None if url.starts_with("{{") && splices::is_raw(url.split("}}").next().unwrap_or_default()) => {}
        None if url.starts_with("{{") => {
            problems
                .add(place, "the URL begins with a value, which would choose where the request goes")
                .hint("write the host here or give it to a `connection`; where the value may choose the host, say so with `{{ ... | safe }}`");
        }
        None => {
            problems
                .add(place, format!("`{url}` is not an HTTP URL"))
                .absent(["connection"])
                .hint("it begins with http:// or https://; or it is a path, and `connection` names the host");
        }
    }
}

fn check_http(sensor: &HttpSensor, node: &Node, problems: &mut Problems) {
    let place = |field: &str| node.deepest(&[field]);
    check_url(&sensor.url, sensor.connection.as_deref(), node, problems);
    if !METHODS.contains(&sensor.method.as_str()) {
        let problem = problems.add(place("method").span.clone(), format!("`{}` is not an HTTP method", sensor.method));
        match nearest(&sensor.method, METHODS) {
            Some(meant) => problem.hint(format!("did you mean `{meant}`?")),
            None => problem.hint(format!("it is one of {}", listed(METHODS))),
        };
    }
    for (status, written) in sensor.expected_status.iter().zip(place("expected_status").items()) {
        let is_class = matches!(status.as_bytes(), [b'1'..=b'5', b'x', b'x']);
        if !is_class && !status.parse::<u16>().is_ok_and(|code| (100..600).contains(&code)) {
            problems
                .add(written.span.clone(), format!("`{status}` is not a status code"))
                .hint("for instance `200` or `2xx`");
        }
    }
    for (field, check) in [("response_check", &sensor.response_check), ("failure_check", &sensor.failure_check)] {
        if check.as_ref().is_some_and(|check| check.is_empty()) {
            problems
                .add(place(field).span.clone(), format!("`{field}` says nothing that could be checked"))
                .hint("add `path`, `equals`, `one_of` or `contains`");
        }
    }
    if sensor.body.is_some() && sensor.json.is_some() {
        problems
            .add(node.span.clone(), "a request has one body: `body` is text, `json` is JSON")
            .hint("keep one of the two");
    }
}

fn check_external(sensor: &ExternalTaskSensor, node: &Node, problems: &mut Problems) {
    let place = |field: &str| node.deepest(&[field]).span.clone();
    let named = usize::from(sensor.external_task_id.is_some())
        + usize::from(!sensor.external_task_ids.is_empty())
        + usize::from(sensor.external_task_group_id.is_some());
    if named > 1 {
        problems
            .add(
                node.span.clone(),
                "a sensor waits for a task, for several tasks, or for a task group, not for two of these",
            )
            .hint("keep one of `external_task_id`, `external_task_ids` and `external_task_group_id`");
    }
    if sensor.execution_delta.is_some() && sensor.external_logical_date.is_some() {
        problems
            .add(
                place("external_logical_date"),
                "`execution_delta` and `external_logical_date` both say which run is waited for",
            )
            .hint("keep one of the two");
    }
    let mut seen = sensor.allowed_states.clone();
    for (field, states) in [("failed_states", &sensor.failed_states), ("skipped_states", &sensor.skipped_states)] {
        if let Some(state) = states.iter().find(|state| seen.contains(state)) {
            problems
                .add(place(field), format!("`{state}` is in `{field}`, and in another list, too"))
                .hint("each state means one thing: keep it in one list");
        }
        seen.extend(states);
    }
}
