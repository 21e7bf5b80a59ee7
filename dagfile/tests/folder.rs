//! The DAG folder: what a scan notices, and what one bad file does to the others.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use flow_dagfile::{CheckedFile, Folder, Scan, Watcher};

const GOOD: &str = "[tasks.a]\nbash = \"echo a\"\n";

fn folder_with(files: &[(&str, &str)]) -> (tempfile::TempDir, Folder) {
    let temp = tempfile::tempdir().unwrap();
    for (path, text) in files {
        write(temp.path(), path, text);
    }
    let folder = Folder::new(temp.path());
    (temp, folder)
}

fn write(root: &Path, path: &str, text: impl AsRef<[u8]>) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn changed(scan: &Scan) -> Vec<(&str, bool)> {
    let mut paths: Vec<_> = scan.changed.iter().map(|file| (file.path.as_str(), file.result.is_ok())).collect();
    paths.sort_unstable();
    paths
}

fn message(scan: &Scan, path: &str) -> String {
    let file: &CheckedFile = scan.changed.iter().find(|file| file.path == path).unwrap();
    file.result
        .as_ref()
        .unwrap_err()
        .iter()
        .map(|diagnostic| diagnostic.message.as_str())
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn what_other_files_define_is_compared_in_a_whole_folder() {
    let names = "[tasks.a]\ntrigger_dag = 'salse'\n[tasks.b]\ntrigger_dag = '{{ params.dag }}'\n[tasks.c]\ntrigger_dag = 'sales'\n[tasks.d]\nexternal_task_sensor = { external_dag_id = 'elsewhere' }\n[params]\ndag = 'x'\n";
    let (_temp, mut folder) = folder_with(&[("names.toml", names), ("sales.toml", GOOD)]);
    let mut files = folder.scan().unwrap().changed;
    flow_dagfile::check_links(&mut files);
    let told: Vec<_> = files
        .iter()
        .flat_map(|file| &file.result.as_ref().unwrap().warnings)
        .map(|warning| (warning.line, warning.message.as_str(), warning.hint.as_deref().unwrap_or_default()))
        .collect();
    let later = "it is fine if its file is in another folder, or comes later";
    assert_eq!(
        told,
        [
            (2, "there is no DAG `salse` in this folder", "did you mean `sales`?"),
            (8, "there is no DAG `elsewhere` in this folder", later),
        ]
    );
}

#[test]
fn a_loop_that_something_can_end_is_no_mistake() {
    for condition in
        ["run_if = '{{ params.more }}'\ntrigger_dag = 'loops'", "depends_on = ['ask']\ntrigger_dag = 'loops'"]
    {
        let text = format!(
            "[params]\nmore = false\n[tasks.ask]\nshort_circuit = '{{{{ params.more }}}}'\n[tasks.again]\n{condition}\n"
        );
        let file = flow_dagfile::check_text("loops.toml", &text, None);
        assert_eq!(file.result.unwrap().warnings, [], "{text}");
    }
}

#[test]
fn a_plugin_that_cannot_be_started_is_told_when_the_file_is_saved() {
    let dag = "[tasks.a]\nplugin = 'a'\n[tasks.b]\nplugin = 'b'\n[tasks.c]\nplugin = 'c'\n";
    let (_temp, mut folder) = folder_with(&[
        ("d.toml", dag),
        ("plugins/a", "echo hello\n"),
        ("plugins/b", "#!/usr/bin/env python3\r\necho hello\r\n"),
        ("plugins/c", "#!/bin/sh\necho hello\n"),
    ]);
    let told = message(&folder.scan().unwrap(), "d.toml");
    let expected = [
        "`plugins/a` is neither a program nor a script: it does not begin with `#!`",
        "`plugins/b` cannot be started: its lines end with carriage returns",
    ];
    assert_eq!(told, expected.join("\n"));
}

#[test]
fn a_change_and_a_deletion_are_noticed_and_nothing_else() {
    let (temp, mut folder) =
        folder_with(&[("a.toml", GOOD), ("team/b.toml", GOOD), ("_draft.toml", "x"), (".c.toml", "x")]);
    write(temp.path(), "d.toml~", "x");
    write(temp.path(), "_old/e.toml", "x");
    let scan = folder.scan().unwrap();
    assert_eq!(changed(&scan), [("a.toml", true), ("team/b.toml", true)]);
    assert_eq!(scan.total, 2);

    let scan = folder.scan().unwrap();
    assert!(scan.changed.is_empty() && scan.removed.is_empty(), "{scan:?}");

    write(temp.path(), "team/b.toml", "[tasks.other]\nbash = \"echo changed\"\n");
    let scan = folder.scan().unwrap();
    assert_eq!(changed(&scan), [("team/b.toml", true)]);

    fs::remove_file(temp.path().join("a.toml")).unwrap();
    let scan = folder.scan().unwrap();
    assert_eq!((scan.removed.as_slice(), scan.total), (["a.toml".to_owned()].as_slice(), 1));
    assert!(scan.changed.is_empty());
}

#[test]
fn a_folder_that_does_not_exist_is_an_error() {
    let temp = tempfile::tempdir().unwrap();
    assert!(Folder::new(temp.path().join("missing")).scan().is_err());
}

#[test]
fn a_script_is_part_of_its_dag() {
    let dag = "[tasks.a]\npython = { script = \"scripts/a.py\" }\n";
    let (temp, mut folder) = folder_with(&[("team/a.toml", dag)]);
    let scan = folder.scan().unwrap();
    assert!(message(&scan, "team/a.toml").starts_with("cannot read the file `scripts/a.py`"));

    // The script appears: its DAG is looked at again, although its own file has not changed.
    write(temp.path(), "team/scripts/a.py", "print(1)");
    let scan = folder.scan().unwrap();
    assert_eq!(changed(&scan), [("team/a.toml", true)]);
    let first = scan.changed[0].result.as_ref().unwrap();
    assert_eq!(first.files, [(first.dag.files["scripts/a.py"].clone(), b"print(1)".to_vec())]);

    write(temp.path(), "team/scripts/a.py", "print(22)");
    let scan = folder.scan().unwrap();
    let second = scan.changed[0].result.as_ref().unwrap();
    assert_ne!(first.dag.content_hash(), second.dag.content_hash());

    fs::remove_file(temp.path().join("team/scripts/a.py")).unwrap();
    assert_eq!(changed(&folder.scan().unwrap()), [("team/a.toml", false)]);
}

#[test]
fn scripts_stay_inside_the_folder_and_are_files() {
    let (temp, mut folder) = folder_with(&[
        ("up.toml", "[tasks.a]\nbash = { script = \"../secret.sh\" }\n"),
        ("absolute.toml", "[tasks.a]\nbash = { script = \"/etc/hostname\" }\n"),
        ("directory.toml", "[tasks.a]\nbash = { script = \"scripts\" }\n"),
    ]);
    fs::create_dir(temp.path().join("scripts")).unwrap();
    let scan = folder.scan().unwrap();
    assert_eq!(message(&scan, "up.toml"), "the file `../secret.sh` is outside the DAG folder");
    assert_eq!(message(&scan, "absolute.toml"), "the file `/etc/hostname` is outside the DAG folder");
    assert_eq!(message(&scan, "directory.toml"), "cannot read the file `scripts`: it is not a file");
}

#[test]
fn of_two_files_with_one_id_the_first_has_it_until_it_goes() {
    let named = |task: &str| format!("dag_id = \"same\"\n[tasks.{task}]\nbash = \"echo a\"\n");
    let (temp, mut folder) = folder_with(&[("a.toml", &named("first")), ("b.toml", &named("second"))]);
    let scan = folder.scan().unwrap();
    assert_eq!(changed(&scan), [("a.toml", true), ("b.toml", false)]);
    assert_eq!(message(&scan, "b.toml"), "the DAG `same` is already defined in `a.toml`");
    let second = scan.changed.iter().find(|file| file.path == "b.toml").unwrap();
    let place = &second.result.as_ref().unwrap_err()[0];
    assert_eq!((place.line, place.column), (1, 10));

    assert!(folder.scan().unwrap().changed.is_empty());

    fs::remove_file(temp.path().join("a.toml")).unwrap();
    let scan = folder.scan().unwrap();
    assert_eq!((changed(&scan), scan.removed.as_slice()), (vec![("b.toml", true)], ["a.toml".to_owned()].as_slice()));

    // A new first one takes the id back.
    write(temp.path(), "0.toml", named("third"));
    assert_eq!(changed(&folder.scan().unwrap()), [("0.toml", true), ("b.toml", false)]);
}

#[test]
fn a_duplicate_tells_its_own_mistakes_too() {
    let (_temp, mut folder) =
        folder_with(&[("a.toml", GOOD), ("b.toml", "dag_id = \"a\"\nowner = 1\n[tasks.a]\nnoop = true\n")]);
    let scan = folder.scan().unwrap();
    assert_eq!(
        message(&scan, "b.toml"),
        "the DAG `a` is already defined in `a.toml`\n`owner` must be text, not a whole number"
    );
}

#[test]
fn a_bad_file_hides_no_other() {
    let (temp, mut folder) = folder_with(&[("good.toml", GOOD), ("broken.toml", "[tasks"), ("empty.toml", "")]);
    let root = temp.path();
    write(root, "large.toml", format!("{GOOD}#{}", "x".repeat(2 << 20)));
    write(root, "junk.toml", [0_u8, 159, 146, 150, 255, 0]);
    write(root, "nul.toml", "a = \"\0\"");
    write(root, "latin1.toml", b"# first\n# caf\xe9\n");
    symlink("nowhere.toml", root.join("dangling.toml")).unwrap();
    symlink("round.toml", root.join("round.toml")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(root.join("socket.toml")).unwrap();
    let scan = folder.scan().unwrap();
    assert_eq!(changed(&scan).iter().filter(|(_, is_good)| *is_good).collect::<Vec<_>>(), [&("good.toml", true)]);
    assert_eq!(scan.total, 10);
    assert_eq!(
        message(&scan, "large.toml"),
        format!("the file has {} bytes, and a DAG file may have 1048576", GOOD.len() + 1 + (2 << 20))
    );
    assert_eq!(message(&scan, "junk.toml"), "line 1 of the file is not UTF-8 text");
    assert_eq!(message(&scan, "nul.toml"), "the file holds NUL bytes: it is not text");
    assert_eq!(message(&scan, "latin1.toml"), "line 2 of the file is not UTF-8 text");
    assert_eq!(message(&scan, "socket.toml"), "this is not a file");
    assert!(message(&scan, "dangling.toml").starts_with("cannot read the file"));
    assert!(message(&scan, "round.toml").starts_with("cannot read the file"));
    assert!(folder.scan().unwrap().changed.is_empty());
}

#[test]
fn links_that_lead_round_in_circles_come_to_an_end() {
    let (temp, mut folder) = folder_with(&[("team/a.toml", GOOD)]);
    for name in ["one", "two", "three", "four"] {
        symlink(".", temp.path().join(name)).unwrap();
        symlink("..", temp.path().join("team").join(name)).unwrap();
    }
    // A link to a folder elsewhere is followed.
    let elsewhere = tempfile::tempdir().unwrap();
    write(elsewhere.path(), "b.toml", GOOD);
    symlink(elsewhere.path(), temp.path().join("linked")).unwrap();
    let scan = folder.scan().unwrap();
    assert_eq!(changed(&scan), [("linked/b.toml", true), ("team/a.toml", true)]);
}

#[test]
fn a_folder_inside_that_cannot_be_read_takes_no_dag_away() {
    let (temp, mut folder) = folder_with(&[("a.toml", GOOD), ("locked/b.toml", GOOD)]);
    assert_eq!(folder.scan().unwrap().total, 2);
    let locked = temp.path().join("locked");
    let lock = |mode| fs::set_permissions(&locked, fs::Permissions::from_mode(mode)).unwrap();
    lock(0o000);
    // Nothing is locked for root.
    let is_root = fs::read_dir(&locked).is_ok();
    let scan = folder.scan();
    lock(0o755);
    let scan = scan.unwrap();
    assert_eq!((scan.removed.len(), scan.total), (0, 2));
    if !is_root {
        assert!(message(&scan, "locked/b.toml").starts_with("cannot read the file"));
        assert_eq!(changed(&folder.scan().unwrap()), [("locked/b.toml", true)]);
    }
}

#[test]
fn many_files_are_read_in_one_scan() {
    let (temp, mut folder) = folder_with(&[]);
    for number in 0..200 {
        write(temp.path(), &format!("dag_{number}.toml"), GOOD);
    }
    let scan = folder.scan().unwrap();
    assert_eq!(scan.changed.iter().filter(|file| file.result.is_ok()).count(), 200);
}

#[tokio::test]
async fn a_watcher_notices_a_change() {
    let (temp, _) = folder_with(&[("team/a.toml", GOOD)]);
    let mut watcher = Watcher::new(temp.path()).unwrap();
    write(temp.path(), "team/a.toml", "[tasks.b]\nnoop = true\n");
    tokio::time::timeout(std::time::Duration::from_secs(20), watcher.changed()).await.expect("the change is noticed");
}
