//! DAG files in the eyes of tools that know nothing of Flow but its JSON Schema: tombi, and taplo (Even Better TOML).
//! `./test` installs both; those in the PATH do as well.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::examples::repository;

/// Both tools with their settings, in a folder that is to be filled with DAG files.
struct Linters {
    folder: tempfile::TempDir,
}

impl Linters {
    fn new() -> Linters {
        let folder = tempfile::Builder::new().prefix("flow-linters-").tempdir().unwrap();
        let schema = serde_json::to_string_pretty(&flow_dagfile::schema()).unwrap();
        std::fs::write(folder.path().join("dag.schema.json"), schema).unwrap();
        let settings =
            "[schema]\ncatalog.paths = []\n[[schemas]]\npath = \"dag.schema.json\"\ninclude = [\"dags/*.toml\"]\n";
        std::fs::write(folder.path().join("tombi.toml"), settings).unwrap();
        std::fs::create_dir(folder.path().join("dags")).unwrap();
        Linters { folder }
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.folder.path().join("dags").join(name), text).unwrap();
    }

    fn tombi(&self) -> Output {
        self.run("tombi", &["lint", "--offline", "--error-on-warnings", "dags"])
    }

    fn taplo(&self) -> Output {
        let schema = format!("file://{}", self.folder.path().join("dag.schema.json").display());
        self.run("taplo", &["check", "--no-auto-config", "--schema", &schema, "dags/*.toml"])
    }

    fn run(&self, tool: &str, arguments: &[&str]) -> Output {
        let installed = target().join("toml-linters/bin").join(tool);
        let program = if installed.is_file() { installed } else { PathBuf::from(tool) };
        let started =
            Command::new(program).args(arguments).current_dir(self.folder.path()).env("NO_COLOR", "1").output();
        started.unwrap_or_else(|error| panic!("cannot start `{tool}`: {error}\nhint: ./test installs it"))
    }
}

/// The folder of what has been built: this test stands in `debug/deps` of it.
fn target() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.ancestors().nth(3).map(Path::to_owned).unwrap()
}

fn told(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// What the documentation prints of DAG files, by page and number; parts of files get a task.
fn documented() -> Vec<(String, String)> {
    let mut pages: Vec<PathBuf> =
        std::fs::read_dir(repository("docs")).unwrap().map(|entry| entry.unwrap().path()).collect();
    pages.push(repository("README.md"));
    // That page is about another file.
    pages.retain(|page| page.extension().is_some_and(|ending| ending == "md") && !page.ends_with("configuration.md"));
    let mut found = Vec::new();
    for page in pages {
        let text = std::fs::read_to_string(&page).unwrap();
        let stem = page.file_stem().unwrap().to_string_lossy();
        for (number, rest) in text.split("```toml\n").skip(1).enumerate() {
            let block = rest.split("```").next().unwrap();
            let task = if block.contains("[tasks.") { "" } else { "\n[tasks.a]\nnoop = true\n" };
            found.push((format!("{stem}_{number}.toml"), format!("{block}{task}")));
        }
    }
    found
}

#[test]
fn find_nothing_in_the_shipped_dags_and_the_documentation() {
    let linters = Linters::new();
    let shipped = std::fs::read_dir(repository("dags")).unwrap().map(|entry| entry.unwrap().path());
    let mut count = 0;
    for path in shipped.filter(|path| path.extension().is_some_and(|ending| ending == "toml")) {
        linters.write(&path.file_name().unwrap().to_string_lossy(), &std::fs::read_to_string(&path).unwrap());
        count += 1;
    }
    for (name, text) in documented() {
        linters.write(&name, &text);
        count += 1;
    }
    assert!(count > 80, "{count}");
    let tombi = linters.tombi();
    assert!(tombi.status.success(), "{}", told(&tombi));
    assert!(told(&tombi).contains(&format!("{count} files linted")), "{}", told(&tombi));
    let taplo = linters.taplo();
    assert!(taplo.status.success(), "{}", told(&taplo));
}

#[test]
fn mark_what_the_parser_refuses() {
    let mistakes = [
        "[tasks.a]\nnoop = true\nbash = \"true\"\n",
        "[tasks.a]\nretries = 1\n",
        "[tasks.\"a b\"]\nnoop = true\n",
        "start_date = 3\n[tasks.a]\nnoop = true\n",
        "retry = 3\n[tasks.a]\nnoop = true\n",
        "[params]\nrows = { type = \"integer\", defualt = 1 }\n[tasks.a]\nnoop = true\n",
    ];
    for text in mistakes {
        let linters = Linters::new();
        linters.write("wrong.toml", text);
        for output in [linters.tombi(), linters.taplo()] {
            assert!(!output.status.success() && told(&output).contains("rror"), "{text}\n{}", told(&output));
        }
    }
}

#[test]
fn know_every_way_to_write_a_date() {
    let linters = Linters::new();
    for (number, date) in
        ["2026-01-01", "2026-01-01T06:00:00", "2026-01-01T06:00:00+02:00", "\"2026-01-01\""].iter().enumerate()
    {
        let text = format!(
            "start_date = {date}\nschedule = {{ at = [{date}] }}\n[params]\nday = {date}\n[tasks.a]\nnoop = true\n"
        );
        linters.write(&format!("date_{number}.toml"), &text);
    }
    for output in [linters.tombi(), linters.taplo()] {
        assert!(output.status.success(), "{}", told(&output));
    }
}
