//! Statements with placeholders instead of `:name`.

use flow_model::sql::{Dialect, Kind, Script, Statement};

/// A statement as the database gets it.
#[derive(Debug)]
pub(crate) struct Rewritten {
    pub text: String,
    /// The parameters in the order of the placeholders.
    pub names: Vec<String>,
    /// Where pieces begin: in `text`, and in the script.
    marks: Vec<(usize, usize)>,
}

/// Puts placeholders in the place of parameters. `placeholder` gets the parameter's index in `names`.
pub(crate) fn rewrite(script: &Script<'_>, statement: &Statement, placeholder: impl Fn(usize) -> String) -> Rewritten {
    let mut rewritten = Rewritten { text: String::new(), names: Vec::new(), marks: Vec::new() };
    for token in statement.tokens() {
        rewritten.marks.push((rewritten.text.len(), token.range.start));
        let text = script.text_at(token);
        if token.kind != Kind::Parameter {
            rewritten.text.push_str(text);
            continue;
        }
        let name = &text[1..];
        // MySQL counts placeholders: a parameter that stands twice is given twice.
        let known =
            rewritten.names.iter().position(|known| known == name).filter(|_| script.dialect() != Dialect::MySql);
        let index = known.unwrap_or_else(|| {
            rewritten.names.push(name.to_owned());
            rewritten.names.len() - 1
        });
        rewritten.text.push_str(&placeholder(index));
    }
    rewritten
}

impl Rewritten {
    /// Where in the script a character of the rewritten text comes from, in bytes; 0 is the first character.
    pub fn source_of(&self, character: usize) -> usize {
        let at = self.text.char_indices().nth(character).map_or(self.text.len(), |(at, _)| at);
        let index = self.marks.partition_point(|(begin, _)| *begin <= at).saturating_sub(1);
        self.marks.get(index).map_or(0, |(begin, source)| source + (at - begin))
    }
}

/// The placeholder of the parameter with this number in a database's own language; 1 is the first.
pub(crate) fn placeholder(dialect: Dialect, number: usize) -> String {
    match dialect {
        Dialect::Postgres => format!("${number}"),
        Dialect::Sqlite => format!("?{number}"),
        Dialect::MySql => "?".to_owned(),
    }
}
