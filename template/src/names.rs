//! The names that templates of tasks know. Values of mapped tasks must not hide them.

/// Top-level names in templates, as Airflow calls them.
pub const TEMPLATE_NAMES: [&str; 31] = [
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
    "prev_data_interval_start_success",
    "prev_data_interval_end_success",
    "prev_start_date_success",
    "prev_end_date_success",
    "inlets",
    "outlets",
    "test_mode",
];

/// What Airflow 2 called things that have other names since, or none in a template; with what to write.
pub(crate) const OF_AIRFLOW_2: [(&str, &str); 28] = [
    ("execution_date", "write `logical_date`"),
    ("next_execution_date", "write `data_interval_end`"),
    ("next_ds", "write `data_interval_end | ds`"),
    ("next_ds_nodash", "write `data_interval_end | ds_nodash`"),
    ("prev_execution_date", "write `data_interval_start`, or a fixed step back: `logical_date.subtract(days=1)`"),
    ("prev_ds", "write `macros.ds_add(ds, -1)` for the day before"),
    ("prev_ds_nodash", "write `logical_date.subtract(days=1) | ds_nodash` for the day before"),
    ("prev_execution_date_success", "write `prev_data_interval_start_success`"),
    ("yesterday_ds", "write `macros.ds_add(ds, -1)`"),
    ("yesterday_ds_nodash", "write `logical_date.subtract(days=1) | ds_nodash`"),
    ("tomorrow_ds", "write `macros.ds_add(ds, 1)`"),
    ("tomorrow_ds_nodash", "write `logical_date.add(days=1) | ds_nodash`"),
    ("latest_date", "write `ds`"),
    ("END_DATE", "write `ds`"),
    ("end_date", "write `ds`, or `data_interval_end`"),
    ("tables", "write `params.tables`, and declare it below `[params]`"),
    ("dag_id", "write `dag.dag_id`"),
    ("task_id", "write `task.task_id`"),
    ("run_type", "write `dag_run.run_type`"),
    ("owner", "write `task.owner`"),
    ("xcom_pull", "write `ti.xcom_pull(task_ids=\"...\")`, or `xcom.<task_id>`"),
    ("Variable", "write `var.value.<key>`"),
    ("now", "write `run_after`: the instant at which the run was due"),
    ("today", "write `ds`, or `run_after`"),
    ("datetime", "write `macros.datetime`, or a date such as `logical_date`"),
    ("timedelta", "write `macros.timedelta(days=1)`, or `logical_date.add(days=1)`"),
    ("triggering_asset_events", "what started the run is in `conf`"),
    ("env", "templates see no environment: in `bash` write `$NAME`, outside of `{{ }}`"),
];

/// What to write instead of a name that Airflow 2 knew.
pub(crate) fn from_airflow_2(name: &str) -> Option<&'static str> {
    let meant = if name == "triggering_dataset_events" { "triggering_asset_events" } else { name };
    OF_AIRFLOW_2.iter().find(|(old, _)| *old == meant).map(|(_, hint)| *hint)
}

/// What to write instead of a filter that comes from somewhere else.
pub(crate) fn filter_of_airflow(name: &str) -> Option<&'static str> {
    Some(match name {
        "from_json" | "fromjson" => {
            "an output of `output = \"json\"` is a value already: write `xcom.<task_id>.<field>`"
        }
        "to_json" | "json" => "write `tojson`",
        "date" | "strftime" | "format_date" => "a date has a method for that: `logical_date.strftime(\"%d.%m.%Y\")`",
        "quote" | "shlex_quote" | "sh" => "take it away: a value in shell code is quoted for where it stands",
        "days_ago" => "write `logical_date.subtract(days=1)`",
        "str" | "to_string" => "write `string`",
        "len" | "size" => "write `length`",
        _ => return None,
    })
}
