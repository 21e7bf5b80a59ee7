//! `flowctl init`: a DAG folder with a first DAG in it.

use std::path::Path;

use crate::config::Settings;
use crate::failure::{Exit, Failure};

/// The first DAG: it runs anywhere, and shows values, XComs and dependencies.
const FIRST: &str = r#"#:schema ./.schema.json
description = "A first DAG: change it, save it, and run it again"
schedule = "@daily"
catchup = "none"

[params]
name = "world"

[tasks.greet]
bash = "echo Hello, {{ params.name }}"

[tasks.count]
depends_on = ["greet"]
bash = "printf %s {{ xcom.greet }} | wc -c"
"#;

/// Makes the DAG folder and a first DAG in it; what is there already stays as it is.
///
/// # Errors
/// The folder or the file cannot be written, or a DAG of that name is there already.
pub fn run(settings: &Settings) -> anyhow::Result<Exit> {
    let folder = &settings.dags.folder;
    let file = folder.join("hello.toml");
    let failed = |path: &Path, error: std::io::Error| {
        Failure::new(Exit::Failed, format!("cannot write `{}`: {error}", path.display()))
            .hint("name another folder with `--set dags.folder=...`")
    };
    std::fs::create_dir_all(folder).map_err(|error| failed(folder, error))?;
    if file.exists() {
        let failure = Failure::new(Exit::Failed, format!("`{}` is there already", file.display()));
        return Err(failure.hint("it was left as it is; `flowctl dags check` checks it").into());
    }
    let schema = folder.join(".schema.json");
    let text = serde_json::to_string_pretty(&flow_dagfile::schema())? + "\n";
    std::fs::write(&schema, text).map_err(|error| failed(&schema, error))?;
    std::fs::write(&file, FIRST).map_err(|error| failed(&file, error))?;
    anstream::println!("{}\n{}", file.display(), schema.display());
    anstream::eprintln!(
        "a first DAG, and the schema with which editors complete and check it\n\
         next:\n  flowctl standalone             starts everything, and prints a link to the pages\n  \
         flowctl trigger hello --wait   runs the DAG, in another terminal\n  \
         flowctl dags reference         says what else can stand in a DAG file"
    );
    Ok(Exit::Success)
}
