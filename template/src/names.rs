//! The names that templates of tasks know. Values of mapped tasks must not hide them.

/// Top-level names in templates, as Airflow calls them.
pub const TEMPLATE_NAMES: [&str; 24] = [
    "ds",
    "ds_nodash",
    "ts",
    "ts_nodash",
    "ts_nodash_with_tz",
    "logical_date",
    "data_interval_start",
    "data_interval_end",
    "run_id",
    "run_after",
    "dag",
    "dag_run",
    "task",
    "task_instance",
    "task_instance_key_str",
    "ti",
    "params",
    "conf",
    "xcom",
    "macros",
    "map_index",
    "try_number",
    "var",
    "conn",
];
