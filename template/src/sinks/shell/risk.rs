//! Where bash, or a program that it starts, reads as code what it was given as text: arithmetic, `eval`, `bash -c`, the
//! names of variables. Only values that are harmless there may stand there.

use std::collections::{HashMap, HashSet};

use super::Refusal;
use super::words::{VALUE, Word};

/// Shells: they run the word after `-c`, or what they read.
const SHELLS: [&str; 15] = [
    "sh", "bash", "dash", "ash", "zsh", "ksh", "fish", "su", "runuser", "flock", "script", "$BASH", "${BASH}",
    "$SHELL", "${SHELL}",
];

/// Programs that run one of their words, and the options before it.
const INTERPRETERS: [(&str, &[&str]); 9] = [
    ("python", &["-c"]),
    ("python3", &["-c"]),
    ("perl", &["-e", "-E", "-ne", "-pe", "-lne", "-lpe"]),
    ("ruby", &["-e", "-ne", "-pe"]),
    ("node", &["-e", "-p", "--eval", "--print"]),
    ("php", &["-r"]),
    ("psql", &["-c", "--command"]),
    ("mysql", &["-e", "--execute"]),
    ("mariadb", &["-e", "--execute"]),
];

/// Commands of bash that run what their words say.
const RUN_THEIR_WORDS: [&str; 7] = ["eval", "trap", "alias", "mapfile", "readarray", "complete", "compgen"];

/// Commands whose words declare variables: what stands before `=` is a name.
const DECLARE: [&str; 5] = ["declare", "typeset", "local", "export", "readonly"];

/// Commands that take names of variables, and the option before such a name; without one, all their words are names.
const TAKE_NAMES: [(&str, Option<&str>); 8] = [
    ("unset", None),
    ("read", None),
    ("getopts", None),
    ("printf", Some("-v")),
    ("test", Some("-v")),
    ("[", Some("-v")),
    ("[[", Some("-v")),
    ("wait", Some("-p")),
];

/// Programs that run the program that their words name.
const WRAPPERS: [&str; 24] = [
    "sudo", "doas", "env", "exec", "command", "builtin", "nohup", "nice", "ionice", "timeout", "time", "xargs", "find",
    "docker", "podman", "kubectl", "nsenter", "chroot", "setsid", "stdbuf", "flock", "watch", "srun", "busybox",
];

/// Variables that bash itself runs.
const RUN_BY_BASH: [&str; 8] = ["PS0", "PS1", "PS2", "PS4", "PROMPT_COMMAND", "BASH_ENV", "ENV", "SHELLOPTS"];

/// What has to be looked at together in the end.
#[derive(Debug, Default)]
pub(super) struct Risks {
    /// Variables that are declared as integers: assigning to them evaluates.
    integers: HashSet<String>,
    /// Values by the variables that they are assigned to.
    assigned: HashMap<String, Vec<usize>>,
    /// Names in arithmetic, with their lines.
    evaluated: Vec<(String, usize)>,
}

impl Risks {
    /// Notes the names in arithmetic.
    pub fn evaluate(&mut self, text: &str, line: usize) {
        let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let names = text.split(|c: char| !is_part(c)).filter(|name| is_name(name));
        self.evaluated.extend(names.map(|name| (name.to_owned(), line)));
    }

    /// Looks at a command.
    ///
    /// # Errors
    /// A value in it would be run as code.
    pub fn command(&mut self, words: &[Word], values: &[String]) -> Result<(), Refusal> {
        let assignments = words.iter().take_while(|word| assignment(word).is_some()).count();
        for word in &words[..assignments] {
            self.assign(word, values)?;
        }
        let words = &words[assignments..];
        let Some(first) = words.first() else { return Ok(()) };
        let name = first.text.as_str();
        if DECLARE.contains(&name) {
            return self.declare(&words[1..], values);
        }
        if name == "for" && words.len() > 2 {
            let each = words[2..].iter().flat_map(|word| word.values.iter().map(|(index, _)| *index));
            self.assigned.entry(words[1].text.clone()).or_default().extend(each);
        }
        if name == "let" || (name == "[[" && words.iter().any(|word| is_arithmetic_test(&word.text))) {
            return self.evaluate_words(&words[1..], values);
        }
        if name == "read" {
            let given: Vec<usize> = words.iter().flat_map(|word| &word.values).map(|(index, _)| *index).collect();
            for word in words[1..].iter().filter(|word| is_name(&word.text)) {
                self.assigned.entry(word.text.clone()).or_default().extend(&given);
            }
        }
        if let Some((_, option)) = TAKE_NAMES.iter().find(|(command, _)| *command == name) {
            names_only(&words[1..], *option, values)?;
        }
        run_words(words, values)
    }

    fn assign(&mut self, word: &Word, values: &[String]) -> Result<(), Refusal> {
        let Some(name) = assignment(word) else { return Ok(()) };
        if RUN_BY_BASH.contains(&name) {
            all_plain(&word.values, values, "bash")?;
        }
        if self.integers.contains(name) {
            self.evaluate_words(std::slice::from_ref(word), values)?;
        }
        let mut indices: Vec<usize> =
            word.values.iter().map(|(index, _)| *index).chain(word.printed.iter().copied()).collect();
        // What another variable holds goes along.
        for part in word.text.split('$').skip(1) {
            let part = part.trim_start_matches('{');
            let end = part.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(part.len());
            indices.extend(self.assigned.get(&part[..end]).into_iter().flatten());
        }
        self.assigned.entry(name.to_owned()).or_default().extend(indices);
        Ok(())
    }

    fn declare(&mut self, words: &[Word], values: &[String]) -> Result<(), Refusal> {
        let is_integer = words.iter().any(|word| word.text.starts_with('-') && word.text.contains('i'));
        for word in words.iter().filter(|word| !word.text.starts_with(['-', '+'])) {
            let before = word.text.split('=').next().unwrap_or_default();
            for (index, line) in word.values.iter().take(before.matches(VALUE).count()) {
                if !is_name(&values[*index]) {
                    return Err((*line, "the value stands in the name of a variable, and is no name\nhint: write the name, or allow only names with an `enum` or a `pattern` of the param".to_owned()));
                }
            }
            if is_integer {
                self.integers.insert(before.to_owned());
            }
            self.assign(word, values)?;
        }
        Ok(())
    }

    fn evaluate_words(&mut self, words: &[Word], values: &[String]) -> Result<(), Refusal> {
        for word in words {
            let line = word.values.first().map_or(1, |(_, line)| *line);
            self.evaluate(&word.text, line);
            if let Some((_, line)) = word.values.iter().find(|(index, _)| !is_integer(&values[*index])) {
                return Err((*line, "the value is compared or computed with as a number, and is not a whole one\nhint: bash would evaluate it as code; let the param be an `integer`, or compare in the template: `{% if n > 5 %}`".to_owned()));
            }
        }
        Ok(())
    }

    /// Looks at what only the whole code shows: variables with values in them that stand in arithmetic.
    ///
    /// # Errors
    /// A value is no whole number, and would be evaluated.
    pub fn conclude(&self, values: &[String]) -> Result<(), Refusal> {
        for (name, line) in &self.evaluated {
            let assigned = self.assigned.get(name).map(Vec::as_slice).unwrap_or_default();
            if assigned.iter().any(|index| !is_integer(&values[*index])) {
                return Err((
                    *line,
                    format!(
                        "`{name}` stands in shell arithmetic, and the value in it is not a whole number\nhint: bash would evaluate it as code; let the param be an `integer`, or compute in the template: `{{{{ n + 1 }}}}`"
                    ),
                ));
            }
        }
        Ok(())
    }
}

/// The variable that a word assigns to.
pub(super) fn assignment(word: &Word) -> Option<&str> {
    let (name, _) = word.text.split_once('=')?;
    let name = name.strip_suffix('+').unwrap_or(name);
    let name = name.split_once('[').map_or(name, |(name, _)| name);
    is_name(name).then_some(name)
}

/// Whether a text is the name of a variable.
pub(super) fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// A whole number: nothing else is safe in arithmetic.
pub(super) fn is_integer(value: &str) -> bool {
    let digits = value.strip_prefix('-').unwrap_or(value);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// What no language gives a meaning beyond that of a word: names, paths, numbers, dates.
pub(super) fn is_plain(value: &str) -> bool {
    let is_date = value.bytes().all(|byte| byte.is_ascii_digit() || b"-:+.TZ ".contains(&byte));
    let is_word = value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_./:@%+,-".contains(&byte));
    !value.starts_with('-') && (is_date || is_word) || is_integer(value)
}

fn is_arithmetic_test(operator: &str) -> bool {
    ["-eq", "-ne", "-lt", "-le", "-gt", "-ge"].contains(&operator)
}

/// Whether what follows the name in `${name...}` is evaluated as arithmetic: a subscript or an offset.
pub(super) fn is_arithmetic_parameter(inside: &str) -> bool {
    let after_name = inside
        .trim_start_matches(['!', '#'])
        .trim_start_matches(|character: char| character.is_ascii_alphanumeric() || "_@*?-$".contains(character));
    match after_name.as_bytes() {
        [b'[', ..] | [b':'] => true,
        [b':', next, ..] => !b"-=+?".contains(next),
        _ => false,
    }
}

/// What is said of a value that would be run.
pub(super) fn becomes_code(by: &str) -> String {
    format!(
        "the value would become code: {by} runs what it is given\nhint: pass the value on as an argument, as in `bash -c 'echo \"$1\"' bash {{{{ v }}}}`, or by the task's `env`; where it may be code, say so with `{{{{ ... | safe }}}}`"
    )
}

/// Refuses values that are not plain.
pub(super) fn all_plain(found: &[(usize, usize)], values: &[String], by: &str) -> Result<(), Refusal> {
    match found.iter().find(|(index, _)| !is_plain(&values[*index])) {
        Some((_, line)) => Err((*line, becomes_code(by))),
        None => Ok(()),
    }
}

fn names_only(words: &[Word], option: Option<&str>, values: &[String]) -> Result<(), Refusal> {
    let is_name = |at: &usize| match (option, at.checked_sub(1).map(|before| words[before].text.as_str())) {
        (Some(option), before) => before == Some(option),
        // The prompt of `read`, and what it reads.
        (None, before) => !matches!(before, Some("-p" | "<<<")),
    };
    let names = (0..words.len()).filter(is_name).flat_map(|at| &words[at].values);
    match names.into_iter().find(|(index, _)| values[*index].contains('[')) {
        Some((_, line)) => Err((*line, "the value has a `[`, and stands where bash reads the name of a variable: it would evaluate what follows as code\nhint: allow only names, with an `enum` or a `pattern` of the param".to_owned())),
        None => Ok(()),
    }
}

/// The name of a program without its folder.
fn program(word: &Word) -> &str {
    word.text.rsplit('/').next().unwrap_or_default()
}

/// Whether a command prints its words.
pub(super) fn prints(words: &[Word]) -> bool {
    words.first().is_some_and(|word| matches!(program(word), "echo" | "printf"))
}

/// Where in a command programs are named: in front, or anywhere behind one that runs another.
fn programs(words: &[Word]) -> impl Iterator<Item = (&str, &[Word])> {
    let wraps = words.first().is_some_and(|word| WRAPPERS.contains(&program(word)));
    let named = words.iter().enumerate().take(if wraps { words.len() } else { 1 });
    named.map(|(at, word)| (program(word), &words[at + 1..]))
}

/// Whether a command runs what it reads from its standard input: a shell or an interpreter without a script.
pub(super) fn reads_code(words: &[Word]) -> bool {
    let mut programs = programs(words);
    programs.any(|(name, rest)| {
        let arguments = rest.iter().position(|word| word.text == "<<<").map_or(rest, |at| &rest[..at]);
        let is_bare = || arguments.iter().all(|word| word.text.starts_with(['-', '+']));
        match name {
            "." | "source" | "ssh" | "psql" | "mysql" | "mariadb" | "sqlite3" => true,
            _ if SHELLS.contains(&name) => is_bare() || arguments.iter().any(|word| word.text == "-s"),
            _ => INTERPRETERS.iter().any(|(interpreter, _)| *interpreter == name) && is_bare(),
        }
    })
}

/// The words that a program runs as code.
fn code_words<'a>(name: &str, rest: &'a [Word]) -> Vec<&'a Word> {
    let after = |options: &[&str]| -> Vec<&'a Word> {
        let pairs = rest.iter().zip(rest.iter().skip(1));
        pairs.filter(|(option, _)| options.contains(&option.text.as_str())).map(|(_, word)| word).collect()
    };
    let plain = |with_argument: &[&str]| -> Vec<&'a Word> {
        let is_argument = |at: usize| at > 0 && with_argument.contains(&rest[at - 1].text.as_str());
        let found = (0..rest.len()).filter(|at| !rest[*at].text.starts_with('-') && !is_argument(*at));
        found.map(|at| &rest[at]).collect()
    };
    if SHELLS.contains(&name) {
        let is_command = |word: &Word| {
            let short = word.text.strip_prefix('-').filter(|letters| !letters.starts_with('-'));
            word.text == "--command" || short.is_some_and(|letters| letters.contains('c'))
        };
        let option = rest.iter().position(is_command);
        return option
            .and_then(|at| rest[at + 1..].iter().find(|word| !word.text.starts_with(['-', '+'])))
            .into_iter()
            .collect();
    }
    match name {
        "ssh" | "parallel" | "watch" => rest.iter().collect(),
        "sed" => plain(&["-f"]).into_iter().take(1).collect(),
        "awk" | "gawk" | "mawk" => plain(&["-v", "-F", "-f"]).into_iter().take(1).collect(),
        "sqlite3" => plain(&["-separator", "-nullvalue"]).into_iter().skip(1).chain(after(&["-cmd"])).collect(),
        _ => {
            let interpreter = INTERPRETERS.iter().find(|(interpreter, _)| *interpreter == name);
            interpreter.map(|(_, options)| after(options)).unwrap_or_default()
        }
    }
}

/// Refuses values in words that a program runs.
fn run_words(words: &[Word], values: &[String]) -> Result<(), Refusal> {
    for (name, rest) in programs(words) {
        if RUN_THEIR_WORDS.contains(&name) {
            rest.iter().take(1).try_for_each(|word| whole(word, name))?;
            rest.iter().try_for_each(|word| run(word, values, name))?;
        }
        let code = code_words(name, rest);
        code.iter().filter(|_| name != "ssh").try_for_each(|word| whole(word, name))?;
        code.into_iter().try_for_each(|word| run(word, values, name))?;
    }
    match words.iter().position(|word| word.text == "<<<").and_then(|at| words.get(at + 1)) {
        Some(word) if reads_code(words) => run(word, values, program(&words[0])),
        _ => Ok(()),
    }
}

/// Refuses a word that is run and has a value in it that is not plain.
fn run(word: &Word, values: &[String], by: &str) -> Result<(), Refusal> {
    all_plain(&word.values, values, &format!("`{by}`"))
}

/// Refuses a word that is run and is nothing but a value.
fn whole(word: &Word, by: &str) -> Result<(), Refusal> {
    match word.values.first() {
        Some((_, line)) if word.text.trim() == VALUE.to_string() => Err((*line, becomes_code(&format!("`{by}`")))),
        _ => Ok(()),
    }
}
