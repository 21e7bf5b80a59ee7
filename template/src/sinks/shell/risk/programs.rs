//! Programs that run some of their words, or what they read, as code.

use super::super::words::{VALUE, Word};
use super::Language;

/// Which of a program's words are code, besides those that an option introduces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Plain {
    None,
    /// The first, if no option has introduced code.
    First,
    AllButFirst,
    All,
}

/// When a program runs what it reads from its standard input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reads {
    Never,
    /// Without a file or code.
    Bare,
    Always,
}

/// How programs are given code.
#[derive(Debug)]
struct Row {
    names: &'static [&'static str],
    /// Options of one letter that introduce code.
    letters: &'static str,
    /// Options of one letter with other arguments: letters behind one of them belong to its argument.
    others: &'static str,
    /// Names of options that introduce code, with one dash or two.
    long: &'static [&'static str],
    plain: Plain,
    reads: Reads,
}

const fn row(
    names: &'static [&'static str],
    letters: &'static str,
    others: &'static str,
    long: &'static [&'static str],
    plain: Plain,
    reads: Reads,
) -> Row {
    Row { names, letters, others, long, plain, reads }
}

const SHELLS: &[&str] =
    &["sh", "bash", "dash", "ash", "zsh", "ksh", "mksh", "csh", "tcsh", "fish", "nu", "xonsh", "elvish"];

const PROGRAMS: &[Row] = &[
    row(SHELLS, "c", "", &["command", "commands"], Plain::None, Reads::Bare),
    row(&["pwsh", "powershell"], "c", "", &["command"], Plain::None, Reads::Bare),
    row(&["su", "runuser"], "c", "sgGw", &["command", "session-command"], Plain::None, Reads::Always),
    row(&["flock"], "c", "wEF", &["command"], Plain::None, Reads::Never),
    row(&["script"], "c", "ImBOTEo", &["command"], Plain::None, Reads::Bare),
    row(&["env"], "S", "uC", &["split-string"], Plain::None, Reads::Never),
    row(&["python", "pypy", "ipython"], "c", "mWX", &[], Plain::None, Reads::Bare),
    row(&["perl"], "eE", "IMmFixDC0", &[], Plain::None, Reads::Bare),
    row(
        &["ruby", "lua", "luajit", "groovy", "scala", "elixir", "osascript", "guile"],
        "e",
        "rICKEFTx",
        &[],
        Plain::None,
        Reads::Bare,
    ),
    row(&["node", "nodejs", "bun"], "ep", "rC", &["eval", "print"], Plain::None, Reads::Bare),
    row(&["deno"], "", "", &["eval"], Plain::AllButFirst, Reads::Bare),
    row(&["php"], "rBE", "dfczSt", &["run"], Plain::None, Reads::Bare),
    row(&["R", "Rscript", "octave", "gnuplot", "erl"], "e", "f", &["eval"], Plain::None, Reads::Bare),
    row(&["julia"], "eE", "pLJH", &["eval", "print"], Plain::None, Reads::Bare),
    row(&["tclsh", "expect"], "c", "", &[], Plain::None, Reads::Bare),
    row(&["sed", "gsed"], "e", "fli", &["expression"], Plain::First, Reads::Never),
    row(&["awk", "gawk", "mawk", "nawk"], "e", "vFfi", &["source"], Plain::First, Reads::Never),
    row(&["jq", "gojq", "jaq"], "", "L", &[], Plain::First, Reads::Never),
    row(&["make", "gmake"], "", "Cfij", &["eval"], Plain::None, Reads::Never),
    row(&["gdb"], "", "", &["ex", "iex", "eval-command"], Plain::None, Reads::Bare),
    row(&["vi", "vim", "nvim", "ex", "ed"], "c", "sSuW", &["cmd"], Plain::None, Reads::Always),
    row(&["dc"], "e", "f", &["expression"], Plain::None, Reads::Always),
    row(&["psql"], "c", "dfFhLopPRTUv", &["command"], Plain::None, Reads::Always),
    row(&["mysql", "mariadb"], "e", "hupPSD", &["execute"], Plain::None, Reads::Always),
    row(&["sqlite3", "duckdb"], "c", "", &["cmd", "c"], Plain::AllButFirst, Reads::Always),
    row(&["clickhouse", "clickhouse-client"], "q", "hud", &["query"], Plain::None, Reads::Always),
    row(&["hive", "beeline", "spark-sql", "cqlsh"], "e", "", &["execute"], Plain::None, Reads::Always),
    row(&["trino", "presto"], "", "", &["execute"], Plain::None, Reads::Always),
    row(&["impala-shell", "sqlcmd", "snowsql"], "qQ", "SUPdHhioubw", &["query"], Plain::None, Reads::Always),
    row(&["mongo", "mongosh"], "", "", &["eval"], Plain::None, Reads::Always),
    row(&["ssh", "parallel", "watch", "tmux", "screen"], "", "", &[], Plain::All, Reads::Always),
    row(&["at", "batch", "crontab", ".", "source"], "", "", &[], Plain::None, Reads::Always),
];

/// Programs, by the first name of their row, whose code is that of a shell.
const SPEAK_SHELL: [&str; 8] = ["sh", "su", "flock", "script", "env", "make", "ssh", "at"];

impl Row {
    fn language(&self) -> Language {
        match self.names[0] {
            "sed" => Language::Sed,
            "awk" => Language::Awk,
            "perl" => Language::Perl,
            name if SPEAK_SHELL.contains(&name) => Language::Shell,
            _ => Language::Other,
        }
    }
}

/// Commands of bash that run what their words say.
const RUN_THEIR_WORDS: [&str; 7] = ["eval", "trap", "alias", "mapfile", "readarray", "complete", "compgen"];

/// Programs that run the program that their words name.
const WRAPPERS: [&str; 28] = [
    "sudo",
    "doas",
    "env",
    "exec",
    "command",
    "builtin",
    "nohup",
    "nice",
    "ionice",
    "timeout",
    "time",
    "xargs",
    "find",
    "docker",
    "podman",
    "kubectl",
    "nsenter",
    "chroot",
    "setsid",
    "stdbuf",
    "flock",
    "watch",
    "srun",
    "busybox",
    "taskset",
    "unshare",
    "strace",
    "systemd-run",
];

/// Commands whose words are text, whatever they say.
const TAKE_TEXT: [&str; 9] = ["echo", "printf", "grep", "[", "[[", "test", "case", "for", "select"];

/// Files that are the standard input.
const STDIN: [&str; 4] = ["-", "/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"];

/// The name of a program without its folder.
pub(super) fn program(word: &Word) -> &str {
    if word.text.starts_with('$') { &word.text } else { word.text.rsplit('/').next().unwrap_or_default() }
}

/// The words without `command` and `builtin`, which only say what the next word is.
pub(in super::super) fn unwrapped(words: &[Word]) -> &[Word] {
    let is_said = |word: &&Word| matches!(word.text.as_str(), "command" | "builtin" | "-p" | "--");
    match words.first().map(|word| word.text.as_str()) {
        Some("command" | "builtin") => &words[words.iter().take_while(is_said).count()..],
        _ => words,
    }
}

/// Values that a command prints: its words, or what it is given on its standard input.
pub(in super::super) fn printed(words: &[Word]) -> Vec<(usize, usize)> {
    let words = unwrapped(words);
    let given = words.iter().skip_while(|word| word.text != "<<<").flat_map(|word| &word.values);
    let first = words.first();
    match first.map(program) {
        Some("echo" | "printf") => words.iter().flat_map(|word| word.all()).copied().collect(),
        _ => {
            let groups = words.iter().filter(|word| word.text.starts_with('('));
            groups.flat_map(|word| &word.printed).chain(given).copied().collect()
        }
    }
}

/// The language of what a command reads from its standard input, if it runs it.
pub(in super::super) fn reads_code(words: &[Word]) -> Option<Language> {
    let words = without_here_strings(words);
    let is_replaced = |word: &&Word| ["-I", "-i", "--replace"].iter().any(|option| word.text.starts_with(option));
    let takes_lines = words.first().is_some_and(|word| program(word) == "xargs");
    let replaces = takes_lines && words.iter().any(is_replaced);
    for (name, rest) in calls(&words) {
        let Some(row) = known(name) else { continue };
        let has_code = !code(row, rest).is_empty();
        let names_stdin = |at: usize| {
            // Behind code, words are its arguments.
            let is_file = row.reads == Reads::Bare && !has_code || at > 0 && rest[at - 1].text.ends_with('f');
            STDIN.contains(&rest[at].text.as_str()) && is_file
        };
        let is_bare = || rest.iter().all(|word| word.text.starts_with(['-', '+']));
        let reads = match row.reads {
            Reads::Always => true,
            Reads::Bare => is_bare() || !has_code && rest.iter().any(|word| word.text == "-s"),
            Reads::Never => false,
        };
        // What xargs reads becomes words: the code itself, or pieces of it.
        let is_pieced = takes_lines && (replaces || !has_code) && row.plain != Plain::First;
        if reads || (0..rest.len()).any(names_stdin) || is_pieced {
            return Some(row.language());
        }
        if has_code && row.names == SHELLS {
            // What follows are the arguments of its code.
            return None;
        }
    }
    None
}

/// A word that is run as code.
#[derive(Debug)]
pub(super) struct RunWord<'w> {
    /// What runs it.
    pub by: &'w str,
    pub language: Language,
    pub word: &'w Word,
    /// It may be a value and nothing else, if that is harmless.
    pub may_be_whole: bool,
}

/// The words of a command that are run as code.
pub(super) fn run_words(words: &[Word]) -> Vec<RunWord<'_>> {
    let words = without_here_strings(words);
    let mut found = Vec::new();
    for (by, rest) in calls(&words) {
        if RUN_THEIR_WORDS.contains(&by) {
            found.extend(rest.iter().enumerate().map(|(at, word)| {
                let may_be_whole = at > 0 || !matches!(by, "eval" | "trap");
                RunWord { by, language: Language::Shell, word, may_be_whole }
            }));
        }
        let Some(row) = known(by) else { continue };
        let run = |word, may_be_whole| RunWord { by, language: row.language(), word, may_be_whole };
        found.extend(code(row, rest).into_iter().map(|word| run(word, row.plain == Plain::All)));
        if row.reads != Reads::Never {
            // A file that is what a command prints: `bash <(echo ...)`.
            found.extend(
                rest.iter()
                    .filter(|word| word.text.starts_with('(') && !word.printed.is_empty())
                    .map(|word| run(word, true)),
            );
        }
    }
    found
}

fn without_here_strings(words: &[Word]) -> Vec<&Word> {
    let is_part = |at: usize| words[at].text == "<<<" || at > 0 && words[at - 1].text == "<<<";
    (0..words.len()).filter(|at| !is_part(*at)).map(|at| &words[at]).collect()
}

/// Where in a command programs are named: in front, anywhere behind one that runs another; and a shell with an option anywhere,
/// as nobody knows all programs that run another.
fn calls<'w, 's>(words: &'s [&'w Word]) -> impl Iterator<Item = (&'w str, &'s [&'w Word])> {
    let first = words.first().map(|word| program(word)).unwrap_or_default();
    let (wraps, takes_text) = (WRAPPERS.contains(&first), TAKE_TEXT.contains(&first));
    words.iter().enumerate().filter_map(move |(at, word)| {
        let (name, rest) = (program(word), &words[at + 1..]);
        let is_shell = || SHELLS.contains(&name) && rest.first().is_some_and(|word| word.text.starts_with('-'));
        let is_builtin = at > 0 && matches!(name, "." | "source");
        (at == 0 || wraps && !is_builtin || !takes_text && is_shell()).then_some((name, rest))
    })
}

/// What is known of a program; one whose name only the run shows may be a shell.
fn known(name: &str) -> Option<&'static Row> {
    let name = if name.starts_with('$') { "sh" } else { name };
    let unversioned = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
    PROGRAMS.iter().find(|row| row.names.contains(&name) || unversioned.len() > 1 && row.names.contains(&unversioned))
}

/// The words that a program runs as code.
fn code<'w>(row: &Row, rest: &[&'w Word]) -> Vec<&'w Word> {
    let mut found = Vec::new();
    let mut plain = Vec::new();
    let mut at = 0;
    while let Some(word) = rest.get(at) {
        at += 1;
        match option(row, &word.text) {
            Given::Attached => found.push(*word),
            Given::Next => {
                at += skipped(&rest[at..]);
                found.extend(rest.get(at));
                at += 1;
            }
            Given::Other => at += arguments(row, &word.text),
            Given::None => plain.push(*word),
        }
    }
    match row.plain {
        Plain::None => {}
        Plain::First
            if found.is_empty()
                && !rest.iter().any(|word| matches!(word.text.as_str(), "-f" | "--file" | "--from-file")) =>
        {
            found.extend(plain.first());
        }
        Plain::First => {}
        Plain::AllButFirst => found.extend(plain.iter().skip(1)),
        Plain::All => found.extend(rest),
    }
    found
}

/// What a word is to a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Given {
    /// An option with code in the same word.
    Attached,
    /// An option; the next word is code.
    Next,
    Other,
    /// No option.
    None,
}

fn option(row: &Row, text: &str) -> Given {
    let Some(name) = text.strip_prefix(['-', '+']).filter(|name| !name.is_empty()) else { return Given::None };
    let long = name.trim_start_matches('-');
    let (word, attached) = long.split_once('=').map_or((long, false), |(word, _)| (word, true));
    if row.long.iter().any(|known| known.eq_ignore_ascii_case(word)) {
        return if attached { Given::Attached } else { Given::Next };
    }
    let flags = name.find(|letter| row.others.contains(letter)).map_or(name, |end| &name[..end]);
    let letter = flags.find(|letter| row.letters.contains(letter)).filter(|_| !name.starts_with('-'));
    match letter {
        Some(at) if name[at + 1..].contains(VALUE) => Given::Attached,
        // Of shells, letters may follow in any order: `-ce`.
        Some(at) if at + 1 == name.len() || row.names == SHELLS => Given::Next,
        _ => Given::Other,
    }
}

/// How many words between `-c` and its code are options of a shell, with their arguments.
fn skipped(rest: &[&Word]) -> usize {
    let mut at = 0;
    while let Some(word) = rest.get(at).filter(|word| word.text.starts_with(['-', '+'])) {
        at += if word.text.ends_with(['o', 'O']) { 2 } else { 1 };
    }
    at
}

/// How many words behind an option are its arguments, of programs whose plain words are code.
fn arguments(row: &Row, text: &str) -> usize {
    let takes: &[&str] = match row.names[0] {
        "awk" => &["-v", "-F", "-f"],
        "sed" => &["-f", "-l"],
        "sqlite3" => &["-separator", "-nullvalue", "-init", "-maxsize", "-mmap", "-vfs"],
        "jq" if ["--arg", "--argjson", "--slurpfile", "--rawfile"].contains(&text) => return 2,
        "jq" => &["-f", "--from-file", "-L", "--indent"],
        _ => &[],
    };
    usize::from(takes.contains(&text))
}
