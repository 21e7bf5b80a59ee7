//! Where in SQL a value may stand, by what is before it.

use flow_model::sql::{Dialect, Kind, Token};

pub(super) const WITHIN_A_WORD: &str = "a value stands within a word or beside another value, and would be a part of neither\nhint: make the whole in one expression: `{{ params.first ~ params.second }}`, of a name `{{ (\"orders_\" ~ params.region) | identifier }}`";
pub(super) const NOWHERE: &str =
    "a value stands where none can be bound\nhint: write it where a value belongs, such as `= {{ ... }}`";
pub(super) const IN_A_HINT: &str = "a value stands in a comment that the database reads as an order\nhint: write the comment without it, or choose one with `{% if %}`";

/// What may stand right before a value without a space.
const OPENERS: &str = "(,=<>+-*/%|![^~";

/// What comes before a place.
pub(super) struct Before<'a> {
    pub dialect: Dialect,
    pub text: &'a str,
    pub tokens: &'a [Token],
}

/// A text in single quotes.
pub(super) enum Literal<'a> {
    /// A text.
    Text,
    /// A literal of a type, which stands before it: `date '...'`; and what it is cast to instead.
    Typed {
        /// Which token the type is.
        token: usize,
        /// What a value is cast to.
        to: &'a str,
    },
}

impl<'a> Before<'a> {
    /// Refuses a value that would become a part of what is right before it.
    pub fn check_value(&self) -> Result<(), String> {
        match self.adjacent() {
            Some(".") => {
                Err("a value stands where a name belongs\nhint: write a name as `{{ ... | identifier }}`".to_owned())
            }
            Some(before) => Err(format!(
                "a value stands right behind `{before}`, and would be a part of it\nhint: put a space between them if it is a value, and write a name as `{{{{ ... | identifier }}}}`"
            )),
            None => Ok(()),
        }
    }

    /// Refuses a name that would become a part of what is right before it.
    pub fn check_name(&self) -> Result<(), String> {
        match self.adjacent() {
            Some(before) if before != "." => Err(format!(
                "a name stands right behind `{before}`, and would be a part of it\nhint: put a space between them"
            )),
            _ => Ok(()),
        }
    }

    /// What the text in single quotes here is, with values in it.
    pub fn literal<'t>(&self, mut after: impl Iterator<Item = (Kind, &'t str)>) -> Result<Literal<'a>, String> {
        if let Some(before) = self.adjacent() {
            return Err(format!(
                "a value stands in a text that begins with `{before}'`\nhint: write the value without quotes around it"
            ));
        }
        let Some((token, word, is_end_of_type)) = self.last_word() else { return Ok(Literal::Text) };
        let lower = word.to_ascii_lowercase();
        let cast = |to: &str| {
            Err(format!(
                "a value stands in a literal of the type `{word}`\nhint: write `cast({{{{ ... }}}} as {to})`, without quotes around the value"
            ))
        };
        match (self.dialect, lower.as_str()) {
            (Dialect::Postgres, "zone" | "precision" | "varying") => cast("<the type>"),
            (Dialect::Postgres, "interval") => {
                let next = after.find(|(kind, _)| !matches!(kind, Kind::Space | Kind::Comment));
                let unit = next.filter(|(kind, _)| *kind == Kind::Word).map(|(_, text)| text.to_ascii_lowercase());
                match unit.as_deref() {
                    Some(unit @ ("year" | "month" | "day" | "hour" | "minute" | "second")) => Err(format!(
                        "a value stands in `interval '...' {unit}`\nhint: write `{{{{ ... }}}} * interval '1 {unit}'`"
                    )),
                    _ => Ok(Literal::Typed { token, to: word }),
                }
            }
            (Dialect::Postgres, ")") if is_end_of_type => cast("<the type>"),
            (Dialect::Postgres, of) if POSTGRES_TYPES.contains(&of) => Ok(Literal::Typed { token, to: word }),
            (Dialect::MySql, "date" | "time") => Ok(Literal::Typed { token, to: word }),
            (Dialect::MySql, "timestamp") => Ok(Literal::Typed { token, to: "datetime(6)" }),
            (Dialect::MySql, set) if set.starts_with('_') => Err(format!(
                "a value stands in a text with the character set `{word}`\nhint: write `convert({{{{ ... }}}} using {})`",
                &set[1..]
            )),
            _ => Ok(Literal::Text),
        }
    }

    /// What stands right before, without a space, and is more than an operator.
    fn adjacent(&self) -> Option<&'a str> {
        let last = self.tokens.last()?;
        let written = &self.text[last.range.clone()];
        match last.kind {
            Kind::Space | Kind::Comment | Kind::End => None,
            Kind::Other if OPENERS.contains(written) => None,
            // A colon between the bounds of a slice, but no other.
            Kind::Other if written == ":" && self.is_slice() => None,
            _ => Some(written),
        }
    }

    /// Whether a bound of a slice stands before the colon.
    fn is_slice(&self) -> bool {
        self.tokens.len() >= 2
            && matches!(self.tokens[self.tokens.len() - 2].kind, Kind::Word | Kind::Parameter)
            && self.tokens.iter().any(|token| &self.text[token.range.clone()] == "[")
    }

    /// The last word before, past space and comments, with its number; or a `)`, and whether it could end a type.
    fn last_word(&self) -> Option<(usize, &'a str, bool)> {
        let is_code = |token: &&Token| !matches!(token.kind, Kind::Space | Kind::Comment);
        let token = self.tokens.iter().rposition(|token| is_code(&token))?;
        let last = &self.tokens[token];
        let written = &self.text[last.range.clone()];
        match last.kind {
            Kind::Word => Some((token, written, false)),
            Kind::Other if written == ")" => {
                let open = self.tokens.iter().rposition(|token| &self.text[token.range.clone()] == "(")?;
                let word = self.tokens[..open].iter().rev().find(is_code)?;
                let name = self.text[word.range.clone()].to_ascii_lowercase();
                Some((token, written, POSTGRES_TYPES.contains(&name.as_str()) || name == "interval"))
            }
            _ => None,
        }
    }
}

/// What is said of a value in quotes of another kind.
pub(super) fn in_quotes(text: &str) -> String {
    let quote = text.chars().next().unwrap_or_default();
    format!(
        "a value stands inside of `{quote}...`\nhint: write a value without quotes around it, and a name as `{{{{ ... | identifier }}}}`, without quotes, too"
    )
}

/// Types of PostgreSQL that may stand before a literal, and are one word.
const POSTGRES_TYPES: [&str; 37] = [
    "date",
    "time",
    "timetz",
    "timestamp",
    "timestamptz",
    "json",
    "jsonb",
    "jsonpath",
    "uuid",
    "inet",
    "cidr",
    "macaddr",
    "xml",
    "numeric",
    "decimal",
    "int",
    "integer",
    "bigint",
    "smallint",
    "int2",
    "int4",
    "int8",
    "real",
    "float",
    "float4",
    "float8",
    "bool",
    "boolean",
    "text",
    "varchar",
    "bytea",
    "money",
    "point",
    "box",
    "tsquery",
    "tsvector",
    "regclass",
];
