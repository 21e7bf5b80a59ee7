//! The crates depend on each other as `docs/architecture.md` says, and on nothing behind its back.

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
