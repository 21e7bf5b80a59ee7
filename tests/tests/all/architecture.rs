//! The crates depend on each other as `docs/architecture.md` says, and on nothing behind its back. No error loses its
//! causes on its way into a log.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Libraries that only one crate may use, and the crate.
const OWNED: &[(&str, &[&str])] = &[("sqlx", &["store", "sql"]), ("redis", &["queue"]), ("deadpool-redis", &["queue"])];
/// Libraries that crates must do without.
const FORBIDDEN: &[(&str, &[&str])] = &[("model", &["tokio", "reqwest", "axum", "tracing"])];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate is in the workspace").to_owned()
}

/// Every crate of the workspace, by the name of its folder, with its normal dependencies: crates of the workspace by
/// the names of their folders, others by their own.
fn crates() -> BTreeMap<String, BTreeSet<String>> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let output = Command::new(cargo)
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(root())
        .output()
        .expect("cargo can be started");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo prints JSON");
    let folder_of = |path: &str| Path::new(path).file_name().expect("a folder").to_string_lossy().into_owned();
    let packages = metadata["packages"].as_array().expect("cargo lists packages");
    packages
        .iter()
        .map(|package| {
            let manifest = package["manifest_path"].as_str().expect("a package has a manifest");
            let folder = folder_of(manifest.trim_end_matches("/Cargo.toml"));
            let dependencies = package["dependencies"].as_array().expect("a package has dependencies");
            let normal = dependencies.iter().filter(|dependency| dependency["kind"].is_null());
            let names = normal.map(|dependency| match dependency["path"].as_str() {
                Some(path) => folder_of(path),
                None => dependency["name"].as_str().unwrap_or_default().to_owned(),
            });
            (folder, names.collect())
        })
        .collect()
}

/// The lines `a -> b` of the block that is marked `arrows`.
fn documented() -> BTreeSet<(String, String)> {
    let text = std::fs::read_to_string(root().join("docs/architecture.md")).expect("docs/architecture.md is there");
    let block = text
        .split_once("```arrows\n")
        .and_then(|(_, rest)| rest.split_once("\n```"))
        .expect("docs/architecture.md has a block ```arrows")
        .0;
    block
        .lines()
        .filter(|line| !line.trim().is_empty())
        .map(|line| {
            let (from, to) = line.split_once("->").unwrap_or_else(|| panic!("`{line}` is not `a -> b`"));
            (from.trim().to_owned(), to.trim().to_owned())
        })
        .collect()
}

#[test]
fn crates_depend_on_each_other_as_documented() {
    let crates = crates();
    let real: BTreeSet<(String, String)> = crates
        .iter()
        .flat_map(|(name, dependencies)| {
            let inside = dependencies.iter().filter(|dependency| crates.contains_key(*dependency));
            inside.map(|dependency| (name.clone(), dependency.clone()))
        })
        .collect();
    let documented = documented();
    let undocumented: Vec<_> = real.difference(&documented).collect();
    assert!(undocumented.is_empty(), "docs/architecture.md does not list {undocumented:?}");
    let gone: Vec<_> = documented.difference(&real).collect();
    assert!(gone.is_empty(), "docs/architecture.md lists arrows that are not there: {gone:?}");
}

#[test]
fn libraries_stay_behind_the_crates_that_own_them() {
    let crates = crates();
    for (library, owners) in OWNED {
        for (name, dependencies) in &crates {
            assert!(
                owners.contains(&name.as_str()) || !dependencies.contains(*library),
                "`{name}` uses `{library}`, as only {owners:?} may"
            );
        }
    }
    for (name, libraries) in FORBIDDEN {
        for library in *libraries {
            assert!(!crates[*name].contains(*library), "`{name}` must do without `{library}`");
        }
    }
}

/// The sources of all crates, without tests, by their paths.
fn sources() -> Vec<(PathBuf, String)> {
    fn gather(folder: &Path, found: &mut Vec<(PathBuf, String)>) {
        for entry in std::fs::read_dir(folder).expect("a folder of sources can be read") {
            let path = entry.expect("an entry can be read").path();
            if path.is_dir() {
                gather(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).expect("a source can be read");
                found.push((path, text));
            }
        }
    }
    let mut found = Vec::new();
    for name in crates().keys() {
        gather(&root().join(name).join("src"), &mut found);
    }
    assert!(found.len() > 300, "{}", found.len());
    found
}

/// What stands between the parenthesis at `start` and the one that closes it. Parentheses in texts are taken to be in pairs.
fn in_parentheses(text: &str) -> &str {
    let mut depth = 0;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'(' => depth += 1,
            b')' if depth == 1 => return &text[..at],
            b')' => depth -= 1,
            _ => {}
        }
    }
    text
}

/// The arguments of every event that is logged.
fn events(source: &str) -> impl Iterator<Item = &str> {
    ["error!(", "warn!(", "info!(", "debug!(", "trace!("].into_iter().flat_map(move |name| {
        source.match_indices(name).map(move |(at, _)| in_parentheses(&source[at + name.len() - 1..]))
    })
}

/// Whether an event writes an error only as what its `Display` or `Debug` says.
fn loses_causes(event: &str) -> bool {
    let is_word = |text: &str| text.starts_with(|next: char| next.is_alphanumeric() || next == '_');
    ["error", "err", "e", "cause", "failure", "source"].iter().any(|name| {
        let forms = [format!("%{name}"), format!("?{name}"), format!("{{{name}}}"), format!("{{{name}:")];
        let is_there = |form: &String| {
            event
                .match_indices(form.as_str())
                .any(|(at, _)| form.ends_with(['}', ':']) || !is_word(&event[at + form.len()..]))
        };
        forms.iter().any(is_there) || event.contains(&format!("{name}.to_string()"))
    })
}

#[test]
fn every_error_is_logged_with_its_causes() {
    for lossy in [
        "(%error, \"x\")",
        "(error = %error)",
        "(?err)",
        "(\"x: {error}\")",
        "(\"x {e:?}\")",
        "(why = error.to_string())",
    ] {
        assert!(loses_causes(lossy), "{lossy}");
    }
    for whole in ["(error = &error as &dyn Error, \"x\")", "(%errors_max, \"x\")", "(count = errors, \"{count}\")"] {
        assert!(!loses_causes(whole), "{whole}");
    }
    let mut lossy = Vec::new();
    let mut count = 0;
    for (path, text) in sources() {
        for event in events(&text) {
            count += 1;
            if loses_causes(event) {
                lossy.push(format!("{}: {event}", path.display()));
            }
        }
    }
    assert!(count > 60, "{count}");
    assert!(lossy.is_empty(), "write `error = &error as &dyn std::error::Error` in:\n{}", lossy.join("\n"));
}

/// Often only the text of an error is passed on, into a reason or a finding: so an error of ours says its cause itself.
#[test]
fn every_error_says_its_cause() {
    let mut silent = Vec::new();
    let mut count = 0;
    for (path, text) in sources() {
        let mut variants = text.split("#[error(");
        variants.next();
        for variant in variants {
            let said = variant.split(")]").next().unwrap_or_default();
            let fields = variant[said.len()..].split("\n}").next().unwrap_or_default();
            let has_cause = ["#[source]", "#[from]", " source:"].iter().any(|mark| fields.contains(mark));
            count += usize::from(has_cause);
            if has_cause
                && !["transparent", "error_chain(", "chain("]
                    .iter()
                    .any(|told| variant[..variant.len().min(200)].contains(told))
            {
                silent.push(format!("{}: {said}", path.display()));
            }
        }
    }
    assert!(count >= 5, "{count}");
    assert!(silent.is_empty(), "let the message end in `error_chain(.source)`:\n{}", silent.join("\n"));
}
