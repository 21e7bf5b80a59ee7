//! Where bash, or a program that it starts, reads as code what it was given as text: arithmetic, `eval`, `bash -c`, the
//! names of variables. Only values that are harmless there may stand there.

mod language;
mod programs;

use std::collections::{HashMap, HashSet};

pub(super) use language::{Language, is_plain};
pub(super) use programs::{printed, reads_code};
use programs::{program, run_words, unwrapped};

use super::Refusal;
use super::words::{GROUP_ENDS, VALUE, Word};

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

/// Variables that bash itself runs, or programs that many scripts call.
const RUN: [&str; 18] = [
    "PS0",
    "PS1",
    "PS2",
    "PS4",
    "PROMPT_COMMAND",
    "BASH_ENV",
    "ENV",
    "SHELLOPTS",
    "BASHOPTS",
    "GIT_SSH_COMMAND",
    "GIT_PAGER",
    "GIT_EDITOR",
    "RSYNC_RSH",
    "PAGER",
    "EDITOR",
    "VISUAL",
    "LESSOPEN",
    "LESSCLOSE",
];

/// Variables of bash that are whole numbers: assigning to some of them evaluates, to others in some versions.
const INTEGERS: [&str; 28] = [
    "BASHPID",
    "BASH_MONOSECONDS",
    "BASH_SUBSHELL",
    "CHILD_MAX",
    "COLUMNS",
    "COMP_CWORD",
    "COMP_KEY",
    "COMP_POINT",
    "COMP_TYPE",
    "EPOCHREALTIME",
    "EPOCHSECONDS",
    "EUID",
    "FUNCNEST",
    "HISTCMD",
    "HISTFILESIZE",
    "HISTSIZE",
    "IGNOREEOF",
    "LINENO",
    "LINES",
    "MAILCHECK",
    "OPTERR",
    "OPTIND",
    "PPID",
    "RANDOM",
    "SECONDS",
    "SRANDOM",
    "TMOUT",
    "UID",
];

/// Whether a program runs what an environment variable of this name holds.
pub(super) fn is_run(name: &str) -> bool {
    RUN.contains(&name) || name.starts_with("BASH_FUNC_")
}

/// What a place asks of the values that come there by way of variables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    /// Arithmetic evaluates them.
    Arithmetic,
    /// They are names of variables: `${!x}`.
    Name,
    /// They are prompts, in which commands run: `${x@P}`.
    Prompt,
    /// They are expanded once more: `>&$x`.
    Target,
}

/// What has to be looked at together in the end: which values come where by way of variables.
#[derive(Debug, Default)]
pub(super) struct Risks {
    /// Variables that are declared as integers: assigning to them evaluates.
    integers: HashSet<String>,
    /// Values by the variables that they are assigned to.
    assigned: HashMap<String, Vec<usize>>,
    /// Variables by those that get what is in them.
    sources: HashMap<String, Vec<String>>,
    /// Variables whose values are used in a way that may run them, with the lines.
    used: Vec<(String, Use, usize)>,
}

/// Stands for what a loop or group reads.
const STDIN: &str = "<";

impl Risks {
    /// Notes the names in arithmetic, or in another text that bash evaluates.
    pub fn evaluate(&mut self, text: &str, how: Use, line: usize) {
        self.used.extend(names(text).into_iter().map(|name| (name, how, line)));
    }

    /// Looks at a command.
    ///
    /// # Errors
    /// A value in it would be run as code.
    pub fn command(&mut self, words: &[Word], piped: &[(usize, usize)], values: &[String]) -> Result<(), Refusal> {
        self.note_integers(words);
        let assignments = words.iter().take_while(|word| assignment(word).is_some()).count();
        for word in &words[..assignments] {
            self.assign(word, values)?;
        }
        for word in words.iter().filter(|word| assignment(word).is_some_and(is_run)) {
            word_takes(word, values, Language::Shell, "bash")?;
        }
        let words = unwrapped(&words[assignments..]);
        let Some(first) = words.first() else { return Ok(()) };
        let name = first.text.as_str();
        if DECLARE.contains(&name) {
            return self.declare(&words[1..], values);
        }
        if name == "let" || (name == "[[" && words.iter().any(|word| is_arithmetic_test(&word.text))) {
            return self.evaluate_words(&words[1..], values);
        }
        self.follow(name, words, piped);
        if let Some((_, option)) = TAKE_NAMES.iter().find(|(command, _)| *command == name) {
            names_only(&words[1..], *option, values)?;
        }
        run(words, values)?;
        let here_string = words.iter().position(|word| word.text == "<<<").and_then(|at| words.get(at + 1));
        here_string.map_or(Ok(()), |input| read(words, input, values))
    }

    /// Notes variables in a command that evaluate what they get.
    fn note_integers(&mut self, words: &[Word]) {
        let line = words.iter().flat_map(|word| &word.values).next().map_or(1, |(_, line)| *line);
        for word in words {
            let name = assignment(word).unwrap_or(&word.text).trim_start_matches("-v");
            if INTEGERS.contains(&name) || self.integers.contains(name) {
                self.used.push((name.to_owned(), Use::Arithmetic, line));
            }
        }
    }

    /// Looks at the target of `>&` or `<&`, which bash expands twice.
    ///
    /// # Errors
    /// A value in it would be.
    pub fn expanded_twice(&mut self, word: &Word, values: &[String]) -> Result<(), Refusal> {
        let mut given = word.all();
        if let Some((_, line)) = given.find(|(index, _)| !is_plain(&values[*index])) {
            return Err((*line, used_as("the target of `>&`", Use::Target)));
        }
        let line = word.values.first().map_or(1, |(_, line)| *line);
        self.used.extend(referred(&word.text).map(|name| (name, Use::Target, line)));
        Ok(())
    }

    /// Notes which values a command puts into variables.
    fn follow(&mut self, name: &str, words: &[Word], piped: &[(usize, usize)]) {
        let given = |words: &[Word]| -> Vec<usize> {
            words.iter().flat_map(|word| word.all()).map(|(index, _)| *index).collect()
        };
        match name {
            "for" | "select" if words.len() > 2 => {
                let variable = words[1].text.clone();
                self.sources
                    .entry(variable.clone())
                    .or_default()
                    .extend(words[2..].iter().flat_map(|word| names(&word.text)));
                self.assigned.entry(variable).or_default().extend(given(&words[2..]));
            }
            "printf" if words.len() > 2 && words[1].text.starts_with("-v") => {
                let variable = match words[1].text.strip_prefix("-v") {
                    Some("") => words[2].text.clone(),
                    name => name.unwrap_or_default().to_owned(),
                };
                self.sources
                    .entry(variable.clone())
                    .or_default()
                    .extend(words[2..].iter().flat_map(|word| referred(&word.text)));
                self.assigned.entry(variable).or_default().extend(given(&words[2..]));
            }
            "read" | "mapfile" | "readarray" => {
                let values: Vec<usize> =
                    given(words).into_iter().chain(piped.iter().map(|(index, _)| *index)).collect();
                for word in words[1..].iter().filter(|word| is_name(&word.text)) {
                    self.sources.entry(word.text.clone()).or_default().push(STDIN.to_owned());
                    self.assigned.entry(word.text.clone()).or_default().extend(&values);
                }
            }
            name if GROUP_ENDS.contains(&name) => {
                self.assigned.entry(STDIN.to_owned()).or_default().extend(given(words));
            }
            // What `$1` is depends on who is called; a name of ours stands for all of them.
            _ => (1..=9).filter(|at| words.len() > *at).for_each(|at| {
                let position = if name == "set" && words[1].text == "--" { at + 1 } else { at };
                let values = words.get(position).map(|word| given(std::slice::from_ref(word))).unwrap_or_default();
                if name == "set" || is_name(name) {
                    self.assigned.entry(format!("{name}() {at}")).or_default().extend(values);
                }
            }),
        }
    }

    /// Notes that a loop or group, or what comes in a here-document, reads a value.
    pub fn read_by_group(&mut self, index: usize) {
        self.assigned.entry(STDIN.to_owned()).or_default().push(index);
    }

    /// Notes a value in `${name=...}`; `text`: what stands before it.
    pub fn assign_in_parameter(&mut self, text: &str, index: usize) {
        let name = text.split_once('=').map(|(name, _)| name.trim_end_matches(':')).filter(|name| is_name(name));
        if let Some(name) = name {
            self.assigned.entry(name.to_owned()).or_default().push(index);
        }
    }

    fn assign(&mut self, word: &Word, values: &[String]) -> Result<(), Refusal> {
        let Some(name) = assignment(word) else { return Ok(()) };
        if self.integers.contains(name) || INTEGERS.contains(&name) {
            self.evaluate_words(std::slice::from_ref(word), values)?;
        }
        let indices = word.all().map(|(index, _)| *index);
        self.assigned.entry(name.to_owned()).or_default().extend(indices);
        // What another variable holds goes along.
        let value = word.text.split_once('=').map(|(_, value)| value).unwrap_or_default();
        self.sources.entry(name.to_owned()).or_default().extend(referred(value));
        Ok(())
    }

    fn declare(&mut self, words: &[Word], values: &[String]) -> Result<(), Refusal> {
        let has = |letter| words.iter().any(|word| word.text.starts_with('-') && word.text.contains(letter));
        let (is_integer, is_reference) = (has('i'), has('n'));
        for word in words.iter().filter(|word| !word.text.starts_with(['-', '+'])) {
            let before = word.text.split('=').next().unwrap_or_default();
            let in_name = if is_reference { word.values.len() } else { before.matches(VALUE).count() };
            // What a command prints may be the name where one stands before `=`, or without one.
            let printed =
                word.printed.iter().take(if is_reference || before.contains('$') { word.printed.len() } else { 0 });
            let mut named = word.values.iter().take(in_name).chain(printed);
            if let Some((_, line)) = named.find(|(index, _)| !is_name(&values[*index])) {
                return Err((*line, "the value stands in the name of a variable, and is no name\nhint: write the name, or allow only names with an `enum` or a `pattern` of the param".to_owned()));
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
            self.evaluate(&word.text, Use::Arithmetic, line);
            let mut given = word.all();
            if let Some((_, line)) = given.find(|(index, _)| !is_integer(&values[*index])) {
                return Err((*line, "the value is compared or computed with as a number, and is not a whole one\nhint: bash would evaluate it as code; let the param be an `integer`, or compare in the template: `{% if n > 5 %}`".to_owned()));
            }
        }
        Ok(())
    }

    /// Looks at what only the whole code shows: variables with values in them where their values may be run.
    ///
    /// # Errors
    /// A value would be.
    pub fn conclude(&self, values: &[String]) -> Result<(), Refusal> {
        for (name, how, line) in &self.used {
            let held = self.held_by(name);
            let is_harmless = |index: &usize| match how {
                Use::Arithmetic => is_integer(&values[*index]),
                Use::Name => is_name(&values[*index]),
                Use::Prompt | Use::Target => is_plain(&values[*index]),
            };
            if !held.iter().all(is_harmless) {
                return Err((*line, used_as(name, *how)));
            }
        }
        Ok(())
    }

    /// The values that a variable may hold, also by way of others.
    fn held_by(&self, name: &str) -> HashSet<usize> {
        let (mut seen, mut open, mut held) = (HashSet::new(), vec![name.to_owned()], HashSet::new());
        while let Some(name) = open.pop() {
            if !seen.insert(name.clone()) {
                continue;
            }
            held.extend(self.assigned.get(&name).into_iter().flatten());
            open.extend(self.sources.get(&name).into_iter().flatten().cloned());
            if name.bytes().all(|byte| byte.is_ascii_digit()) {
                let end = format!("() {name}");
                open.extend(self.assigned.keys().filter(|key| key.ends_with(&end)).cloned());
            }
        }
        held
    }
}

/// Names of variables in a text that bash evaluates, and the numbers of arguments (`$1`).
fn names(text: &str) -> Vec<String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let (mut found, mut before, mut rest) = (Vec::new(), None, text);
    while !rest.is_empty() {
        let length = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
        let name = &rest[..length];
        let is_argument = matches!(name.as_bytes(), [b'1'..=b'9']) && matches!(before, Some('$' | '{'));
        if is_name(name) || is_argument {
            found.push(name.to_owned());
        }
        let mut characters = rest[length..].chars();
        before = characters.next();
        rest = characters.as_str();
    }
    found
}

/// The variables that a text refers to: `$x`, `${x}`.
fn referred(text: &str) -> impl Iterator<Item = String> {
    text.split('$').skip(1).map(|part| {
        let part = part.trim_start_matches('{');
        part[..part.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(part.len())].to_owned()
    })
}

fn used_as(name: &str, how: Use) -> String {
    match how {
        Use::Arithmetic => format!(
            "`{name}` stands in shell arithmetic, and the value in it is not a whole number\nhint: bash would evaluate it as code; let the param be an `integer`, or compute in the template: `{{{{ n + 1 }}}}`"
        ),
        Use::Name => format!(
            "bash takes what is in `{name}` for the name of a variable, and the value in it is none\nhint: bash would evaluate it as code; allow only names, with an `enum` or a `pattern` of the param"
        ),
        Use::Prompt => format!(
            "bash would run the commands in the value that is in `{name}`, because of `@P`\nhint: take the `@P` away, or allow only what is meant, with an `enum` or a `pattern` of the param"
        ),
        Use::Target => format!(
            "bash would run the commands in the value that is in {name}, as it expands what follows `>&` and `<&` twice\nhint: write `&>` or `> file 2>&1`, which expand it once"
        ),
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

/// Refuses what the words of a command would run, in bash or as the arguments of a program.
///
/// # Errors
/// A value would be run.
pub(super) fn run(words: &[Word], values: &[String]) -> Result<(), Refusal> {
    for run in run_words(words) {
        if !run.may_be_whole {
            whole(run.word, run.by)?;
        }
        word_takes(run.word, values, run.language, &format!("`{}`", run.by))?;
    }
    Ok(())
}

/// Refuses values in what a command reads from its standard input, if it runs that.
///
/// # Errors
/// A value would be run.
pub(super) fn read(words: &[Word], input: &Word, values: &[String]) -> Result<(), Refusal> {
    let by = words.first().map(program).unwrap_or_default();
    reads_code(words).map_or(Ok(()), |language| word_takes(input, values, language, &format!("`{by}`")))
}

/// Refuses values that are not harmless in code of a language, wherever in it they may come to stand.
pub(super) fn all_taken(
    found: &[(usize, usize)],
    values: &[String],
    language: Language,
    by: &str,
) -> Result<(), Refusal> {
    match found.iter().find(|(index, _)| !language.takes(&values[*index], None, None)) {
        Some((_, line)) => Err((*line, becomes_code(by))),
        None => Ok(()),
    }
}

/// Refuses values that are not harmless where they stand in a word that is code.
fn word_takes(word: &Word, values: &[String], language: Language, by: &str) -> Result<(), Refusal> {
    let mut places = word.text.match_indices(VALUE).map(|(at, _)| at);
    let has_places = places.clone().count() == word.values.len();
    for (index, line) in &word.values {
        let at = places.next().filter(|_| has_places);
        let before = at.and_then(|at| word.text[..at].chars().next_back());
        let after = at.and_then(|at| word.text[at..].chars().nth(1));
        if !language.takes(&values[*index], before, after) {
            return Err((*line, becomes_code(by)));
        }
    }
    all_taken(&word.printed, values, language, by)
}

/// Refuses values with a subscript where a name is expected, and others than numbers in a subscript of the author's.
fn names_only(words: &[Word], option: Option<&str>, values: &[String]) -> Result<(), Refusal> {
    let is_name = |at: &usize| match (option, at.checked_sub(1).map(|before| words[before].text.as_str())) {
        (Some(option), before) => before == Some(option) || words[*at].text.starts_with(option),
        // The prompt of `read`, and what it reads.
        (None, before) => !matches!(before, Some("-p" | "<<<")),
    };
    for word in (0..words.len()).filter(is_name).map(|at| &words[at]) {
        let is_harmless = |value: &str| if word.text.contains('[') { is_integer(value) } else { !value.contains('[') };
        let mut given = word.all();
        if let Some((_, line)) = given.find(|(index, _)| !is_harmless(&values[*index])) {
            return Err((*line, "the value stands where bash reads the name of a variable, and has a `[` or is the index of a list: bash would evaluate it as code\nhint: allow only names or whole numbers, with the type, an `enum` or a `pattern` of the param".to_owned()));
        }
    }
    Ok(())
}

/// Refuses a word that is run and is nothing but a value.
fn whole(word: &Word, by: &str) -> Result<(), Refusal> {
    match word.values.first() {
        Some((_, line)) if word.text.trim() == VALUE.to_string() => Err((*line, becomes_code(&format!("`{by}`")))),
        _ => Ok(()),
    }
}
