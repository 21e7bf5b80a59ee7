//! Keeps secrets out of text: a value is hidden in every form in which programs are used to write it.

mod forms;
mod known;

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError, RwLock};

use aho_corasick::{AhoCorasick, MatchKind};
use flow_model::limits::SECRET_CHARACTERS_MIN;
use flow_model::{Connection, SecretText};
use serde_json::Value;

/// What stands in the place of a secret.
pub const MASK: &str = "***";
/// Bytes of a secret's beginning at the end of a cut text that are enough to hide them.
const CUT_BYTES_MIN: usize = 3;

/// Hides the secrets it has learned, and tokens of well-known services. Cheap to clone; clones share what they learn.
#[derive(Clone, Default)]
pub struct Masker {
    learned: Arc<RwLock<Learned>>,
}

#[derive(Default)]
struct Learned {
    forms: BTreeSet<String>,
    search: Option<AhoCorasick>,
}

impl Masker {
    /// Hides a value from now on. Lines of a value that has several are hidden each by itself, as logs have lines.
    pub fn learn(&self, secret: &SecretText) {
        let mut learned = self.learned.write().unwrap_or_else(PoisonError::into_inner);
        let before = learned.forms.len();
        let whole = secret.expose().trim();
        for part in std::iter::once(whole).chain(whole.lines().map(str::trim)) {
            if part.chars().count() >= SECRET_CHARACTERS_MIN {
                learned.forms.extend(forms::of(part));
            }
        }
        if learned.forms.len() > before {
            let search = AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(&learned.forms);
            learned.search = search.ok();
        }
    }

    /// Hides everything that is secret in a connection: also the URI that holds its password.
    pub fn learn_connection(&self, connection: &Connection) {
        connection.secrets().iter().for_each(|secret| self.learn(secret));
    }

    /// A text without what is hidden.
    pub fn mask<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let learned = self.learned.read().unwrap_or_else(PoisonError::into_inner);
        match &learned.search {
            Some(search) if search.is_match(text) => Cow::Owned(known::mask(&replace(search, text)).into_owned()),
            _ => known::mask(text),
        }
    }

    /// A text whose end was cut off: what may be the beginning of a secret there is hidden, too.
    pub fn mask_cut<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let kept = self.before_cut(text);
        if kept == text.len() {
            return self.mask(text);
        }
        Cow::Owned(format!("{}{MASK}", self.mask(&text[..kept])))
    }

    /// Whether a text has something to hide of what was learned.
    pub fn finds(&self, text: &str) -> bool {
        let learned = self.learned.read().unwrap_or_else(PoisonError::into_inner);
        learned.search.as_ref().is_some_and(|search| search.is_match(text))
    }

    /// Whether any text in a JSON value has something to hide.
    pub fn finds_in(&self, value: &Value) -> bool {
        match value {
            Value::String(text) => self.finds(text),
            Value::Array(items) => items.iter().any(|item| self.finds_in(item)),
            Value::Object(fields) => fields.iter().any(|(name, value)| self.finds(name) || self.finds_in(value)),
            other => self.finds(&other.to_string()),
        }
    }

    /// A JSON value without what is hidden.
    pub fn mask_json(&self, value: Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.mask(&text).into_owned()),
            Value::Array(items) => items.into_iter().map(|item| self.mask_json(item)).collect(),
            Value::Object(fields) => {
                fields.into_iter().map(|(name, value)| (self.mask(&name).into_owned(), self.mask_json(value))).collect()
            }
            Value::Number(number) if self.finds(&number.to_string()) => Value::String(MASK.to_owned()),
            other => other,
        }
    }

    /// Where the beginning of a secret starts at the end of a text; its length where none does.
    fn before_cut(&self, text: &str) -> usize {
        let learned = self.learned.read().unwrap_or_else(PoisonError::into_inner);
        let begins = |form: &String| {
            let longest = form.len().min(text.len() + 1) - 1;
            let mut ends = (CUT_BYTES_MIN..=longest).rev().filter(|&end| form.is_char_boundary(end));
            ends.find(|&end| text.ends_with(&form[..end]))
        };
        text.len() - learned.forms.iter().filter_map(begins).max().unwrap_or(0)
    }
}

impl std::fmt::Debug for Masker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Masker")
    }
}

/// Replaces every match, where matches touch or overlap as one: what is left between them could be part of a secret.
fn replace(search: &AhoCorasick, text: &str) -> String {
    let mut masked = String::with_capacity(text.len());
    let mut from = 0;
    for found in search.find_iter(text) {
        if found.start() > from || from == 0 {
            masked.push_str(&text[from..found.start()]);
            masked.push_str(MASK);
        }
        from = found.end();
    }
    masked.push_str(&text[from..]);
    masked
}

#[cfg(test)]
mod tests;
