//! What Flow limits whatever the configuration says: one constant each, shown by `flowctl config show`.

/// A fixed limit, as people read of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// Its name: that of the constant, in small letters.
    pub name: &'static str,
    /// How much there may be; the name tells the unit.
    pub value: u64,
    /// What is limited, and what happens beyond.
    pub meaning: &'static str,
}

/// Declares constants, and the table of them: a limit that nobody is told of cannot be declared here.
macro_rules! limits {
    ($($(#[doc = $meaning:literal])+ $constant:ident, $name:literal: $type:ty = $value:expr;)+) => {
        $($(#[doc = $meaning])+ pub const $constant: $type = $value;)+

        const ALL: &[Limit] =
            &[$(Limit { name: $name, value: $constant as u64, meaning: concat!($($meaning),+) },)+];
    };
}

limits! {
    /// Bytes of a DAG file.
    DAG_FILE_BYTES_MAX, "dag_file_bytes_max": u64 = 1 << 20;
    /// Bytes of one file that is published with a DAG.
    PUBLISHED_FILE_BYTES_MAX, "published_file_bytes_max": u64 = 4 << 20;
    /// Bytes of all files that are published with a DAG.
    PUBLISHED_BYTES_MAX, "published_bytes_max": u64 = 32 << 20;
    /// Files that are published with a DAG.
    PUBLISHED_FILES_MAX, "published_files_max": usize = 1_000;
    /// Entries of folders that are looked at for one pattern of `files`.
    PUBLISHED_ENTRIES_MAX, "published_entries_max": usize = 50_000;
    /// Groups of tasks within each other.
    GROUP_DEPTH_MAX, "group_depth_max": usize = 8;
    /// Notifiers of one event of a task or DAG.
    NOTIFIERS_MAX, "notifiers_max": usize = 16;
    /// Tries of a notifier.
    CALLBACK_TRIES_MAX, "callback_tries_max": u32 = 3;
    /// What `max_map_length` may be: instances of a mapped task or group.
    MAP_LENGTH_MAX, "map_length_max": u32 = 100_000;
    /// Seconds of any duration: a hundred years.
    DURATION_SECONDS_MAX, "duration_seconds_max": u64 = 100 * 366 * 86_400;
    /// Runs of a DAG that may wait to start before webhooks are refused, and streams and files wait.
    WAITING_RUNS_MAX, "waiting_runs_max": i64 = 1_000;
    /// Losses of its worker after which a task fails instead of running again.
    LOSSES_MAX, "losses_max": i64 = 3;
    /// Steps that one template may take.
    TEMPLATE_STEPS_MAX, "template_steps_max": u64 = 5_000_000;
    /// Times that the templates of a task may ask for further values.
    TEMPLATE_LOOKUPS_MAX, "template_lookups_max": usize = 100;
    /// Bytes of one value in `bash`: Linux takes no longer variable.
    SHELL_VALUE_BYTES_MAX, "shell_value_bytes_max": usize = 128 * 1024 - 64;
    /// Bytes of rendered fields that are kept to be shown; what has more is not shown.
    RENDERED_BYTES_MAX, "rendered_bytes_max": usize = 256 * 1024;
    /// Bytes of one XCom as JSON, whoever leaves it: tasks, sensors, people. What is larger fails the task.
    XCOM_BYTES_MAX, "xcom_bytes_max": usize = 1 << 20;
    /// Bytes of an XCom's key.
    XCOM_KEY_BYTES_MAX, "xcom_key_bytes_max": usize = 512;
    /// Bytes of all named XComs that one try leaves.
    XCOM_FILE_BYTES_MAX, "xcom_file_bytes_max": u64 = 8 << 20;
    /// Named XComs of one task that templates can read.
    NAMED_XCOMS_MAX, "named_xcoms_max": i64 = 1_000;
    /// Characters of the reason that a task gives with `flow.skip` or `flow.fail`.
    REASON_CHARACTERS_MAX, "reason_characters_max": usize = 2_000;
    /// Questions of one task (`flow.xcom`, `flow.conn` ...) that are answered at once; others wait.
    TASK_QUESTIONS_MAX, "task_questions_max": usize = 64;
    /// Bytes of one message of a plugin: the largest XCom, all of it escaped, still fits.
    PLUGIN_MESSAGE_BYTES_MAX, "plugin_message_bytes_max": usize = 6 * XCOM_BYTES_MAX + 64 * 1024;
    /// Redirects that `http` follows.
    REDIRECTS_MAX, "redirects_max": usize = 10;
    /// Bytes of one line of a task's log; of longer ones the log says how much is left out.
    LOG_LINE_BYTES_MAX, "log_line_bytes_max": usize = 64 * 1024;
    /// Bytes that are kept from the beginning of a try's log.
    LOG_HEAD_BYTES_MAX, "log_head_bytes_max": u64 = 16 << 20;
    /// Bytes that are kept from its end if it has more; the log says how much is left out.
    LOG_TAIL_BYTES_MAX, "log_tail_bytes_max": usize = 256 * 1024;
    /// Bytes of an artifact's name.
    ARTIFACT_NAME_BYTES_MAX, "artifact_name_bytes_max": usize = 500;
    /// Folders within folders that are looked into for artifacts.
    ARTIFACT_DEPTH_MAX, "artifact_depth_max": usize = 16;
    /// Files and folders that are looked at for artifacts.
    ARTIFACT_ENTRIES_MAX, "artifact_entries_max": usize = 10_000;
    /// Files and folders that one look of `file_sensor`, or of `files` in a schedule, goes through.
    FILE_SENSOR_ENTRIES_MAX, "file_sensor_entries_max": usize = 200_000;
    /// Characters of a run's id.
    RUN_ID_CHARACTERS_MAX, "run_id_characters_max": usize = 250;
    /// Characters of a note.
    NOTE_CHARACTERS_MAX, "note_characters_max": usize = 1_000;
    /// Characters of a pool's name.
    POOL_NAME_CHARACTERS_MAX, "pool_name_characters_max": usize = 256;
    /// Characters of a variable's key.
    VARIABLE_KEY_CHARACTERS_MAX, "variable_key_characters_max": usize = 250;
    /// Bytes of a variable's value.
    VARIABLE_BYTES_MAX, "variable_bytes_max": usize = 1 << 20;
    /// Characters of a connection's id.
    CONNECTION_ID_CHARACTERS_MAX, "connection_id_characters_max": usize = 250;
    /// Bytes of a file below `secrets.folder`.
    SECRET_FILE_BYTES_MAX, "secret_file_bytes_max": u64 = 1 << 20;
    /// Characters that a secret must have to be hidden in logs.
    SECRET_CHARACTERS_MIN, "secret_characters_min": usize = 6;
    /// Bytes of a request to API, pages and webhooks.
    REQUEST_BYTES_MAX, "request_bytes_max": usize = 1 << 20;
    /// Bytes of a request that holds a variable, a connection or an XCom.
    VALUE_REQUEST_BYTES_MAX, "value_request_bytes_max": usize = 4 << 20;
    /// Rows of one answer of the API.
    ROWS_PER_PAGE_MAX, "rows_per_page_max": i64 = 100;
    /// Rows of one answer of the API that lists task instances.
    TASK_INSTANCES_PER_PAGE_MAX, "task_instances_per_page_max": i64 = 1_000;
    /// Bytes of the lines in one answer of the API about a task's log; what follows is read with the token in it.
    LOG_PAGE_BYTES_MAX, "log_page_bytes_max": usize = 1 << 20;
}

/// All of them, in the order in which they are shown.
pub fn all() -> impl Iterator<Item = Limit> {
    ALL.iter().map(|limit| Limit { meaning: limit.meaning.trim(), ..*limit })
}
