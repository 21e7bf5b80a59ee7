//! Values in shell code.
//!
//! A small reader of bash's grammar follows the author's code and puts a reference to a variable in place of each value,
//! quoted for where it stands; the values travel in the environment. What bash itself reads as code once more (arithmetic,
//! `eval`, `bash -c`, ...) takes only values that are harmless there, and refuses the others.

mod here_doc;
mod quotes;
mod reader;
mod risk;
mod words;

use crate::pieces::{Piece, Pieces};

/// Shell code with the values that it refers to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ShellScript {
    /// The code.
    pub code: String,
    /// Environment variables for it.
    pub variables: Vec<(String, String)>,
    /// The code with the values in place, to show to people.
    pub shown: String,
}

impl ShellScript {
    /// Code without values.
    pub fn constant(code: &str) -> Self {
        ShellScript { code: code.to_owned(), variables: Vec::new(), shown: code.to_owned() }
    }
}

/// The author's code with the places of values in it.
#[derive(Debug, Default)]
struct Source {
    /// The code, without the values.
    text: String,
    /// Where in it the values stand; in order.
    places: Vec<usize>,
    /// The values, as many as places.
    values: Vec<String>,
}

/// A line and a reason.
type Refusal = (usize, String);

/// Puts references in place of the values.
///
/// # Errors
/// Line and reason: a value stands where none can be passed safely.
pub(crate) fn quote(pieces: &Pieces) -> Result<ShellScript, Refusal> {
    let mut source = Source::default();
    for piece in pieces.iter() {
        match piece {
            Piece::Own(text) => source.text.push_str(text),
            Piece::Value(value) => {
                source.places.push(source.text.len());
                source.values.push(value.text.clone());
            }
        }
    }
    let (code, used) = reader::read(&source)?;
    let variables = source.values.into_iter().enumerate().filter(|(index, _)| used[*index]);
    let variables = variables.map(|(index, value)| (variable(index), value)).collect();
    Ok(ShellScript { code, variables, shown: pieces.text() })
}

/// Whether a program runs what an environment variable of this name holds.
pub(crate) fn is_run(name: &str) -> bool {
    risk::is_run(name)
}

/// Refuses values in an environment variable that is run, unless they are plain.
///
/// # Errors
/// In words, with a hint.
pub(crate) fn plain(pieces: &Pieces, name: &str) -> Result<(), String> {
    // Of these the value would choose the file that is run.
    let is_file = matches!(name, "BASH_ENV" | "ENV");
    let is_code = |piece: &Piece| matches!(piece, Piece::Value(value) if is_file || !risk::is_plain(&value.text));
    if pieces.iter().any(is_code) { Err(risk::becomes_code(&format!("what reads `{name}`"))) } else { Ok(()) }
}

/// Refuses values that the program of a command without a shell would run: `["bash", "-c", "echo {{ v }}"]`.
///
/// # Errors
/// In words, with a hint.
pub(crate) fn arguments(argv: &[Pieces]) -> Result<(), String> {
    let mut values = Vec::new();
    let words: Vec<words::Word> = argv.iter().map(|argument| words::Word::given(argument, &mut values)).collect();
    risk::run(&words, &values).map_err(|(_, message)| message)
}

/// Refuses values in the standard input of a program that runs what it reads.
///
/// # Errors
/// In words, with a hint.
pub(crate) fn standard_input(argv: &[String], input: &Pieces) -> Result<(), String> {
    let words: Vec<words::Word> =
        argv.iter().map(|text| words::Word { text: text.clone(), ..words::Word::default() }).collect();
    let mut values = Vec::new();
    let input = words::Word::given(input, &mut values);
    risk::read(&words, &input, &values).map_err(|(_, message)| message)
}

/// The name of the variable that holds a value.
fn variable(index: usize) -> String {
    format!("FLOW_VALUE_{}", index + 1)
}
