//! The words of the command that is being read, and the values in them.

use super::{Refusal, risk};
use crate::pieces::{Piece, Pieces};

/// Stands for a value in the text of a word.
pub(super) const VALUE: char = '\u{FFFC}';

/// Words after which another command begins.
const BEFORE_COMMANDS: [&str; 11] = ["if", "then", "elif", "else", "while", "until", "do", "!", "{", "time", "coproc"];

/// Words that end a loop or a group.
pub(super) const GROUP_ENDS: [&str; 4] = ["}", "done", "fi", "esac"];

/// A word, without its quotation marks.
#[derive(Debug, Clone, Default)]
pub(super) struct Word {
    pub text: String,
    /// The values in it: their index and line.
    pub values: Vec<(usize, usize)>,
    /// Values that commands in it, `$(...)`, were given: what they print may be them.
    pub printed: Vec<(usize, usize)>,
}

impl Word {
    /// All values that may be in what bash makes of it.
    pub fn all(&self) -> impl Iterator<Item = &(usize, usize)> {
        self.values.iter().chain(&self.printed)
    }

    /// An argument or an input of a program, whose values are added to the others.
    pub fn given(pieces: &Pieces, values: &mut Vec<String>) -> Word {
        let mut word = Word::default();
        for piece in pieces.iter() {
            match piece {
                Piece::Own(text) => word.text.push_str(text),
                Piece::Value(value) => {
                    word.text.push(VALUE);
                    word.values.push((values.len(), 1));
                    values.push(value.text.clone());
                }
            }
        }
        word
    }
}

/// The words of one command after the other.
#[derive(Debug, Default)]
pub(super) struct Words {
    words: Vec<Word>,
    word: Option<Word>,
    /// The next word is the target of a redirection.
    is_target: bool,
    /// That is one of `>&` or `<&`.
    is_expanded_twice: bool,
    /// Targets of this command that bash expands twice.
    expanded_twice: Vec<Word>,
    /// How many `case` are open.
    cases: usize,
    /// Values that the commands before the pipe print.
    piped: Vec<(usize, usize)>,
    /// Groups that read from a pipe, each with what is printed there and how many loops and groups are open in it.
    reading: Vec<(Vec<(usize, usize)>, usize)>,
    /// What all commands have printed so far.
    printed: Vec<(usize, usize)>,
    /// All values so far, of ended commands, too.
    seen: Vec<(usize, usize)>,
    /// Functions that are defined here.
    functions: Vec<String>,
    /// The first words of the commands.
    called: Vec<String>,
}

impl Words {
    pub fn feed(&mut self, text: &str) {
        self.word.get_or_insert_default().text.push_str(text);
    }

    pub fn feed_value(&mut self, index: usize, line: usize) {
        let word = self.word.get_or_insert_default();
        word.text.push(VALUE);
        word.values.push((index, line));
        // No command prints the name of the file that it reads from or writes to.
        if !self.is_target {
            self.seen.push((index, line));
        }
    }

    /// Every value that these commands were given.
    pub fn seen(&self) -> &[(usize, usize)] {
        &self.seen
    }

    /// Notes what the commands inside of the word were given.
    pub fn add_printed(&mut self, values: &[(usize, usize)]) {
        self.word.get_or_insert_default().printed.extend(values);
        self.seen.extend(values);
    }

    /// Notes a value in a here-document of one of these commands.
    pub fn add_here_doc(&mut self, index: usize, line: usize) {
        self.seen.push((index, line));
        self.printed.push((index, line));
    }

    /// Functions that these commands may call.
    pub fn called(&self) -> &[String] {
        &self.called
    }

    /// What the functions that are called print: all that is printed in this code.
    pub fn printed_by(&self, called: &[String]) -> &[(usize, usize)] {
        if called.iter().any(|name| self.functions.contains(name)) { &self.printed } else { &[] }
    }

    /// Notes a function whose body begins: `f() {`, `f() (`, `function f {`.
    fn note_function(&mut self) {
        let named = match self.words.as_slice() {
            [keyword, name, ..] if keyword.text == "function" => Some(name),
            [name, ..] if name.text.ends_with('(') => Some(name),
            _ => None,
        };
        let name = named.map(|word| word.text.trim_end_matches('(').to_owned());
        self.functions.extend(name.filter(|name| !name.is_empty()));
    }

    /// What is printed into the commands that begin here.
    pub fn fed(&self) -> Vec<(usize, usize)> {
        let groups = self.reading.iter().flat_map(|(values, _)| values);
        self.piped.iter().chain(groups).copied().collect()
    }

    /// The commands of a group that reads this.
    pub fn reading(fed: Vec<(usize, usize)>) -> Self {
        Words { reading: vec![(fed, 1)], ..Words::default() }
    }

    /// Whether the command so far is the end of a loop or a group, whose redirections are those of all commands in it.
    pub fn ends_group(&self) -> bool {
        self.words.first().is_some_and(|word| GROUP_ENDS.contains(&word.text.as_str()))
    }

    /// Follows loops and groups that begin or end with a word in front.
    fn note_group(&mut self, word: &str) {
        match word {
            "{" | "while" | "until" | "if" | "for" | "case" | "select" => {
                if !self.piped.is_empty() {
                    self.reading.push((self.piped.clone(), 1));
                } else if let Some((_, open)) = self.reading.last_mut() {
                    *open += 1;
                }
            }
            word if GROUP_ENDS.contains(&word) => {
                if let Some((_, open)) = self.reading.last_mut() {
                    *open -= 1;
                }
                self.reading.retain(|(_, open)| *open > 0);
            }
            _ => {}
        }
    }

    pub fn is_word_start(&self) -> bool {
        self.word.is_none()
    }

    /// Inside of a `case`, where a bracket ends a pattern.
    pub fn is_in_case(&self) -> bool {
        self.cases > 0
    }

    /// Inside of `[[ ... ]]`, where brackets and signs are part of the test.
    pub fn is_in_test(&self) -> bool {
        self.words.first().is_some_and(|word| word.text == "[[")
            && self.words.last().is_some_and(|word| word.text != "]]")
    }

    /// The words of an array, which is over.
    pub fn take_words(&mut self) -> Vec<Word> {
        self.end_word();
        std::mem::take(&mut self.words)
    }

    /// Adds the words of an array to the one that it is assigned in, with all values that they were given.
    pub fn add_words(&mut self, words: Vec<Word>, seen: &[(usize, usize)]) {
        let word = self.word.get_or_insert_default();
        for inner in words {
            word.text.push(' ');
            word.text.push_str(&inner.text);
            word.values.extend(inner.values);
            word.printed.extend(inner.printed);
        }
        self.seen.extend(seen);
    }

    /// A name stands where an assignment may: `name[` is followed by an index.
    pub fn begins_assignment(&self) -> bool {
        self.words.iter().all(|word| risk::assignment(word).is_some())
            && self.word.as_ref().is_some_and(|word| risk::is_name(&word.text))
    }

    /// The language of what the command so far reads from its standard input, if it runs it.
    pub fn reads_code(&self) -> Option<risk::Language> {
        risk::reads_code(&self.words)
    }

    pub fn redirect(&mut self) {
        if self.word.as_ref().is_some_and(|word| word.text.bytes().all(|byte| byte.is_ascii_digit())) {
            self.word = None;
        }
        self.end_word();
        self.is_target = true;
    }

    /// Whether an operator that redirects was the last to be read.
    pub fn is_behind_redirection(&self) -> bool {
        self.is_target && self.word.is_none()
    }

    /// The operator goes on with `&`.
    pub fn duplicate(&mut self) {
        self.is_expanded_twice = true;
    }

    pub fn end_word(&mut self) {
        let Some(word) = self.word.take() else { return };
        let is_expanded_twice = std::mem::take(&mut self.is_expanded_twice);
        if std::mem::take(&mut self.is_target) {
            self.expanded_twice.extend(Some(word).filter(|_| is_expanded_twice));
            return;
        }
        let is_first = self.words.is_empty();
        if is_first || word.text == "{" {
            self.note_group(&word.text);
        }
        match word.text.as_str() {
            "esac" if is_first => self.cases = self.cases.saturating_sub(1),
            "{" => {
                self.note_function();
                self.words.clear();
            }
            text if is_first && BEFORE_COMMANDS.contains(&text) => {}
            text => {
                self.cases += usize::from(is_first && text == "case");
                self.words.push(word);
            }
        }
    }

    /// Ends the command. If it runs what comes through the pipe, tells the language of that.
    ///
    /// # Errors
    /// A value in it would be run as code.
    pub fn end_command(
        &mut self,
        is_pipe: bool,
        values: &[String],
        risks: &mut risk::Risks,
    ) -> Result<Option<risk::Language>, Refusal> {
        self.end_word();
        for word in std::mem::take(&mut self.expanded_twice) {
            risks.expanded_twice(&word, values)?;
        }
        self.note_function();
        let words = std::mem::take(&mut self.words);
        self.called.extend(words.first().map(|word| word.text.clone()));
        let fed = self.fed();
        let piped = std::mem::take(&mut self.piped);
        risks.command(&words, &fed, values)?;
        let reads_code = risk::reads_code(&words);
        if let Some(language) = reads_code {
            risk::all_taken(&fed, values, language, "the program that reads the pipe")?;
        }
        let printed = risk::printed(&words);
        self.printed.extend(&printed);
        if is_pipe {
            let first = words.first().map(|word| word.text.as_str()).unwrap_or_default();
            let is_group = GROUP_ENDS.contains(&first) || self.functions.iter().any(|name| name == first);
            let printed = if is_group { self.printed.clone() } else { printed };
            self.piped = piped.into_iter().chain(printed).collect();
        }
        Ok(reads_code)
    }
}
