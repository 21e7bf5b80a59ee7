//! DAGs that wait: in the triggerer, for later, for people, for other DAGs; that are mapped; that call back; that events start.

use super::{DEFAULTS, shell};

/// Only so long: the default of most sensors is a minute.
const OFTEN: &str = "poke_interval = '300ms'";

/// A mapped group of which each index fails at first, and a sum that needs all of them.
pub fn mapped() -> String {
    DEFAULTS.to_owned()
        + "[tasks.j_list]\noutput = 'json'\nbash = '''echo \"start $FLOW_CLAIM\" >> @FOLDER@/journal; echo '[1, 2, null, 3, 4]' '''\n"
        + "[task_groups.each]\nexpand = { x = '{{ xcom.j_list }}' }\nretries = 20\nretry_delay = '100ms'\n"
        + "[task_groups.each.tasks.twice]\nretries = 0\noutput = 'json'\nbash = 'sleep 0.1; echo $(( {{ x }} * 2 ))'\n"
        + "[task_groups.each.tasks.flaky]\ndepends_on = ['twice']\nretries = 0\noutput = 'json'\n\
           bash = '[ {{ ti.try_number }} -ge {{ x }} ] && echo {{ xcom.twice }}'\n"
        + &shell("j_sum", &["each"], "", "test \"{{ xcom.each.flaky | sum }}\" = 20")
        + "[tasks.choose]\ndepends_on = ['j_sum']\nbranch = 'j_left'\n"
        + &shell("j_left", &["choose"], "", "true")
        + &shell("j_right", &["choose"], "", "exit 1")
        + &shell("j_end", &["j_left", "j_right"], "trigger_rule = 'none_failed_min_one_success'\n", "true")
}

/// Timers, files, HTTP and another DAG are waited for without a worker.
pub fn waiting(address: &str) -> String {
    DEFAULTS.to_owned()
        + "[tasks.timer]\ntime_delta_sensor = { delta = '0s' }\n\
           [tasks.later]\ntrigger_dag = { trigger_dag_id = 'chain', wait_for_completion = true, poke_interval = '300ms', \
           allowed_states = ['success', 'failed'], failed_states = [] }\n"
        + &format!("[tasks.web]\nhttp_sensor = {{ url = 'http://{address}/livez', {OFTEN} }}\n")
        + &format!("[tasks.file]\nfile_sensor = {{ filepath = '@FOLDER@/files/{{{{ run_id }}}}', {OFTEN} }}\n")
        + &shell("j_make", &[], "", "sleep 1; mkdir -p @FOLDER@/files; touch \"@FOLDER@/files/{{ run_id }}\"")
        + &shell("j_end", &["later", "web", "file", "j_make"], "", "true")
        + &shell("j_timed", &["timer"], "trigger_rule = 'all_done'\n", "true")
}

/// Loops that give their slot back.
pub fn repeating() -> String {
    DEFAULTS.to_owned()
        + "[tasks.loop]\noutput = 'json'\nbash = 'echo x >> \"@FOLDER@/loop-{{ run_id }}\"; wc -l < \"@FOLDER@/loop-{{ run_id }}\"'\n\
           repeat = { until = '{{ output >= 3 }}', every = '300ms', max = 50 }\n"
        + &format!(
            "[tasks.sensor]\ncommand_sensor = {{ command = 'echo y >> \"@FOLDER@/sensor-{{{{ run_id }}}}\"; \
           [ $(wc -l < \"@FOLDER@/sensor-{{{{ run_id }}}}\") -ge 3 ]', {OFTEN} }}\n"
        )
        + &shell("j_end", &["loop", "sensor"], "", "test {{ xcom.loop }} -ge 3")
}

/// Questions: one for people, one that its time answers.
pub fn asking() -> String {
    DEFAULTS.to_owned()
        + "[tasks.ask]\napproval = { subject = 'Go on?' }\n\
           [tasks.default]\napproval = { subject = 'In time?', timeout = '2s', defaults = ['Approve'] }\n"
        + &shell("j_end", &["ask", "default"], "", "true")
}

/// Callbacks, each of which writes what it is about into a journal of its own.
pub fn calling() -> String {
    let journal = |what: &str| {
        format!(
            "[{{ command = ['sh', '-c', 'echo \"$1\" >> @FOLDER@/callbacks', 'sh', '{{{{ run_id }}}} {what} {{{{ event }}}} {{{{ ti.try_number }}}}'] }}]"
        )
    };
    let of_run =
        "[{ command = ['sh', '-c', 'echo \"$1\" >> @FOLDER@/callbacks', 'sh', '{{ run_id }} run {{ event }} 0'] }]";
    format!("on_success = {of_run}\non_failure = {of_run}\n")
        + DEFAULTS
        + &shell(
            "j_flaky",
            &[],
            &format!("on_success = {0}\non_retry = {0}\non_failure = {0}\n", journal("j_flaky")),
            "sleep 0.1; [ {{ ti.try_number }} -ge 2 ]",
        )
        + &shell("j_skip", &[], &format!("on_skipped = {}\n", journal("j_skip")), "exit 99")
        + "[tasks.wait]\nsleep = '200ms'\non_success = "
        + &journal("wait")
        + "\n"
}

/// Started by signed requests only.
pub fn hooked() -> String {
    "schedule = { webhook = { name = 'orders', secret = 'orders_hook' } }\n".to_owned()
        + DEFAULTS
        + "[params]\norder = { type = 'integer' }\n"
        + &shell("j_order", &[], "", "test {{ params.order }} -ge 0; echo {{ params.order }} > $FLOW_ARTIFACTS/order")
}
