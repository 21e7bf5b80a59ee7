//! Which files of the DAG folder are published with a DAG: scripts, what they import, what `files` names.

use std::path::Path;

use flow_dagfile::{CheckedFile, Folder, check_file, render};

/// A DAG folder with these files.
fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    folder
}

fn check(dag: &str, text: &str, files: &[(&str, &str)]) -> CheckedFile {
    let folder = folder(files);
    let path = folder.path().join(dag);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
    check_file(folder.path(), Path::new(dag))
}

#[track_caller]
fn published(dag: &str, text: &str, files: &[(&str, &str)]) -> Vec<String> {
    let file = check(dag, text, files);
    let rendered = render(&file, false);
    let parsed = file.result.unwrap_or_else(|_| panic!("{rendered}"));
    parsed.dag.tasks[0].files.clone()
}

/// The first mistake and its hint.
#[track_caller]
fn mistake(dag: &str, text: &str, files: &[(&str, &str)]) -> String {
    let file = check(dag, text, files);
    let first = file.result.expect_err("it is a mistake").remove(0);
    format!("{} | {}", first.message, first.hint.unwrap_or_default())
}

const SCRIPT: &str = "[tasks.a.python]\nscript = 'scripts/load.py'\n";

#[test]
fn what_a_script_imports_of_ours_is_published_with_it() {
    let files = [
        (
            "team/scripts/load.py",
            "import json, pandas, helpers\nfrom sales.load import orders\nimport team.rates\nimport flow\n",
        ),
        ("team/scripts/helpers.py", "from scripts_only import x\n"),
        ("team/scripts/scripts_only.py", "x = 1\n"),
        ("team/scripts/unused.py", "import nothing_at_all\n"),
        ("sales/__init__.py", "from . import rounding\nfrom .money import *\n"),
        ("sales/rounding.py", "def up(): ...\n"),
        ("sales/money.py", "from .deep.er import y\n"),
        ("sales/load.py", "def orders(): import late\n"),
        ("sales/deep/__init__.py", ""),
        ("sales/deep/er.py", "from ..rounding import up\nfrom .. import rounding\ny = 1\n"),
        ("late.py", "import json\n"),
        (
            "team/rates.py",
            "try:\n    import no_such_rates\n    from sales import nor_this\nexcept ImportError:\n    pass\n",
        ),
    ];
    let expected = [
        "../late.py",
        "../sales/__init__.py",
        "../sales/deep/__init__.py",
        "../sales/deep/er.py",
        "../sales/load.py",
        "../sales/money.py",
        "../sales/rounding.py",
        "rates.py",
        "scripts/helpers.py",
        "scripts/scripts_only.py",
    ];
    assert_eq!(published("team/load.toml", SCRIPT, &files), expected);
    let file = check("team/load.toml", SCRIPT, &files).result.unwrap();
    assert_eq!((file.dag.folder.as_str(), file.dag.files.len()), ("team", 11));
    assert_eq!(file.files.len(), 11);
}

#[test]
fn functions_and_code_bring_their_modules_along() {
    let files = [("sales/load.py", "import rates\ndef orders(): ...\n"), ("rates.py", "")];
    let call = "[tasks.a.python]\ncall = 'sales.load:orders'\nwith = { day = '{{ ds }}' }\n";
    assert_eq!(published("load.toml", call, &files), ["rates.py", "sales/load.py"]);
    let code = "[tasks.a]\npython = '''\nfrom sales import load\n'''\n";
    assert_eq!(published("load.toml", code, &files), ["rates.py", "sales/load.py"]);
}

#[test]
fn a_missing_module_of_ours_is_named() {
    let package = ("sales/__init__.py", "VERSION = 1\n");
    let cases: [(&str, &str); 12] = [
        ("import sales.lod", "there is no module `sales.lod` (`scripts/load.py`, line 1) | did you mean `load`?"),
        (
            "\n\nfrom sales import lod",
            "there is no module `sales.lod` (`scripts/load.py`, line 3) | did you mean `load`?",
        ),
        (
            "from sales.load import ordrs",
            "`sales.load` has no `ordrs` (`scripts/load.py`, line 1) | did you mean `orders`?",
        ),
        (
            "from sales.deep.er import y",
            "there is no module `sales.deep.er` (`scripts/load.py`, line 1) | it is looked for",
        ),
        (
            "from loose import nothing",
            "there is no module `loose.nothing` (`scripts/load.py`, line 1) | it is looked for",
        ),
        ("import loose.some.more", "there is no module `loose.some.more` (`scripts/load.py`, line 1) | "),
        ("import helpers.x", "`helpers` is no package, so there is no `helpers.x` (`scripts/load.py`, line 1)"),
        ("from . import helpers", "there is no package around for `.` (`scripts/load.py`, line 1)"),
        ("import helpers", "there is no module `sales.gone` (`scripts/helpers.py`, line 1)"),
        ("import sales.relative", "`...up` leads out of the package (`sales/relative.py`, line 1)"),
        ("def f():\n    import sales.gone", "there is no module `sales.gone` (`scripts/load.py`, line 2)"),
        ("import sales.sibling", "there is no module `.missing` (`sales/sibling.py`, line 1)"),
    ];
    for (source, told) in cases {
        let files = [
            ("scripts/load.py", source),
            ("scripts/helpers.py", "import sales.gone"),
            package,
            ("sales/load.py", "def orders(): ...\n"),
            ("sales/relative.py", "from ...up import x"),
            ("sales/sibling.py", "from .missing import x"),
            ("loose/some.py", ""),
        ];
        let shown = mistake("load.toml", SCRIPT, &files);
        assert!(shown.starts_with(told), "{source}: {shown}");
    }
    let fine = "from sales import VERSION\nimport json.decoder\nimport no_such_third_party.module\nfrom loose import some\nimport os.path\n";
    assert_eq!(
        published("load.toml", SCRIPT, &[("scripts/load.py", fine), package, ("loose/some.py", ""), ("json/x.py", "")]),
        ["loose/some.py", "sales/__init__.py"]
    );
}

#[test]
fn a_function_that_is_not_there_is_named() {
    let files = [("sales/load.py", "def orders(): ...\n")];
    let of = |call: &str| format!("[tasks.a.python]\ncall = '{call}'\n");
    let cases = [
        ("sales.load:order", "`sales.load` has no `order` | did you mean `sales.load:orders`?"),
        ("sales.lod:orders", "there is no module `sales.lod` | did you mean `load`?"),
        ("sales.load", "`sales.load` names no function | write `package.module:function`"),
        ("sales load:x", "`sales load:x` names no function"),
    ];
    for (call, told) in cases {
        let shown = mistake("load.toml", &of(call), &files);
        assert!(shown.starts_with(told), "{call}: {shown}");
    }
    let absent = check("load.toml", &of("salse.load:orders"), &files).result.unwrap();
    let warning = &absent.warnings[0];
    assert!(warning.message.contains("no module `salse`"), "{warning:?}");
    assert!(check("load.toml", &of("os.path:exists"), &files).result.unwrap().warnings.is_empty());
}

#[test]
fn python_has_one_thing_to_run() {
    let cases = [
        ("code = 'a'\ncall = 'a:b'", "`python` has both `code` and `call`"),
        ("code = 'a'\nwith = { a = 1 }", "`with` holds the arguments of a `call`, and there is none"),
        ("call = 'os:getcwd'\nargs = ['a']", "a function that is called has no `args`"),
        ("args = ['a']", "`python` has nothing to run"),
    ];
    for (keys, told) in cases {
        let shown = mistake("load.toml", &format!("[tasks.a.python]\n{keys}\n"), &[]);
        assert!(shown.starts_with(told), "{keys}: {shown}");
    }
    let shown = mistake("load.toml", "[tasks.a]\npython = { call = 'os:getcwd' }\noutput = 'json'\n", &[]);
    assert!(shown.starts_with("what a function returns is its output"), "{shown}");
}

#[test]
fn files_are_named_by_paths_and_patterns() {
    let files = [
        ("team/lib/a.py", ""),
        ("team/lib/deep/b.py", "2"),
        ("team/lib/deep/.hidden.py", ""),
        ("team/lib/__pycache__/a.pyc", ""),
        ("team/queries/x.sql", "3"),
        ("team/queries/x.txt", "4"),
        ("shared/x.sh", "5"),
    ];
    let dag = |patterns: &str| format!("[tasks.a]\nbash = 'ls'\nfiles = {patterns}\n");
    let of = |patterns: &str| published("team/load.toml", &dag(patterns), &files);
    assert_eq!(of("['lib/**/*.py', 'queries/*.sql']"), ["lib/a.py", "lib/deep/b.py", "queries/x.sql"]);
    assert_eq!(of("['../shared/x.sh', './lib/../lib/a.py']"), ["../shared/x.sh", "lib/a.py"]);
    assert_eq!(of("['../*/*.sh']"), ["../shared/x.sh"]);
    assert_eq!(of("['lib/*']"), ["lib/a.py"]);
    assert_eq!(of("['**/x.*']"), ["queries/x.sql", "queries/x.txt"]);
    let defaults = "[default_args]\nfiles = ['queries/*']\n[tasks.a]\ncommand = ['ls']\n";
    assert_eq!(published("team/load.toml", defaults, &files), ["queries/x.sql", "queries/x.txt"]);
    let cases = [
        ("['../../x.sh']", "the file `../../x.sh` is outside the DAG folder"),
        ("['/etc/passwd']", "the file `/etc/passwd` is outside the DAG folder"),
        ("['/etc/*']", "`/etc/*` is outside the DAG folder"),
        ("['../../*']", "`../../*` is outside the DAG folder"),
        ("['lib/.hidden.py']", "the file `lib/.hidden.py` is hidden"),
        ("['*.md']", "`*.md` stands for no file"),
        ("['a[']", "`a[` is no pattern of files"),
        ("['gone.py']", "cannot read the file `gone.py`"),
        ("['lib']", "cannot read the file `lib`: it is not a file"),
    ];
    for (patterns, told) in cases {
        let shown = mistake("team/load.toml", &dag(patterns), &files);
        assert!(shown.starts_with(told), "{patterns}: {shown}");
    }
    let refused = mistake("team/load.toml", "[tasks.a]\nnoop = true\nfiles = ['lib/*']\n", &files);
    assert!(refused.starts_with("`files` cannot be used with `noop`"), "{refused}");
    let shared = "[tasks.a.bash]\nscript = '../shared/x.sh'\n";
    assert_eq!(
        check("team/load.toml", shared, &files).result.unwrap().dag.files.keys().collect::<Vec<_>>(),
        ["../shared/x.sh"]
    );
}

#[test]
fn too_much_is_refused() {
    let large = "x".repeat(4 << 20);
    let dag = "[tasks.a]\nbash = 'ls'\nfiles = ['data/*']\n";
    let many: Vec<(String, String)> = (0..9).map(|n| (format!("data/{n}"), format!("{}{n}", &large[1..]))).collect();
    let files: Vec<(&str, &str)> = many.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    assert!(mistake("load.toml", dag, &files).contains("the files of this DAG have more than 33554432 bytes"));
    let one = format!("{large}x");
    assert!(mistake("load.toml", dag, &[("data/a", &one)]).contains("may have 4194304"));
    let many: Vec<(String, String)> = (0..1_001).map(|n| (format!("data/{n}"), n.to_string())).collect();
    let files: Vec<(&str, &str)> = many.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    assert!(mistake("load.toml", dag, &files).contains("this DAG has more than 1000 files"));
}

#[test]
fn a_change_of_what_is_imported_is_noticed() {
    let folder = folder(&[
        ("load.toml", "[tasks.a]\npython = 'import helpers'\nfiles = ['queries/*.sql']\n"),
        ("queries/a.sql", "1"),
    ]);
    let mut scans = Folder::new(folder.path());
    let mut hash = || {
        let changed = scans.scan().unwrap().changed;
        changed.first().map(|file| file.result.as_ref().unwrap().dag.content_hash())
    };
    let first = hash().unwrap();
    assert_eq!(hash(), None);
    std::fs::write(folder.path().join("helpers.py"), "x = 1").unwrap();
    let second = hash().unwrap();
    std::fs::write(folder.path().join("helpers.py"), "x = 1000").unwrap();
    let third = hash().unwrap();
    std::fs::write(folder.path().join("queries/b.sql"), "2").unwrap();
    let fourth = hash().unwrap();
    assert_eq!(hash(), None);
    let all: std::collections::BTreeSet<_> = [first, second, third, fourth].into();
    assert_eq!(all.len(), 4);
}

#[test]
fn parameters_of_a_query_in_a_file_are_compared_too() {
    let dag = |parameters: &str| {
        format!("[tasks.a.sql]\nconnection = 'db'\nfile = 'queries/a.sql'\nparameters = {{ {parameters} }}\n")
    };
    let query = ("queries/a.sql", "select 1;\nselect ':b' -- :c\n  from d where day = :day\n");
    assert_eq!(check("a.toml", &dag("day = '{{ ds }}'"), &[query]).diagnostics(), []);
    for (parameters, query, told) in [
        (
            "dya = 1",
            query,
            "the query names the parameter `:day`, which is not given (line 3, column 22 of `queries/a.sql`)",
        ),
        ("day = 1, b = 2", query, "the query has no `:b`: the parameter is not used"),
        ("", ("queries/a.sql", "-- nothing yet\n"), "`queries/a.sql` has no statement"),
    ] {
        let found = check("a.toml", &dag(parameters), &[query]).result.expect_err(parameters);
        assert_eq!(found.iter().map(|one| one.message.as_str()).collect::<Vec<_>>(), [told]);
    }
}

#[test]
fn a_plugin_in_python_brings_the_modules_beside_it() {
    let dag = "[tasks.a]\nplugin = 'greet'\n";
    let python = ("plugins/greet", "#!/usr/bin/env python3\nimport json, wording, elsewhere\n");
    let files = [python, ("plugins/wording.py", "import deeper\n"), ("plugins/deeper.py", ""), ("elsewhere.py", "")];
    // Python looks beside the plugin, and not at the top of the DAG folder.
    assert_eq!(published("greet.toml", dag, &files), ["plugins/deeper.py", "plugins/wording.py"]);
    let broken = [python, ("plugins/wording.py", "from wording.more import x\n")];
    let told = mistake("greet.toml", dag, &broken);
    assert!(told.starts_with("`wording` is no package, so there is no `wording.more` (`plugins/wording.py`"), "{told}");
    let shell = [("plugins/greet", "#!/bin/sh\nimport wording\n"), ("plugins/wording.py", "")];
    assert_eq!(published("greet.toml", dag, &shell), Vec::<String>::new());
}
