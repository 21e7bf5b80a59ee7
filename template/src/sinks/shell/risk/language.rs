//! What a value may be in code, by the language that the code is written in.

use super::is_integer;

/// A language of code that programs are given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Language {
    /// Shells: a value is a word, or a part of one.
    Shell,
    Sed,
    Awk,
    Perl,
    Other,
}

impl Language {
    /// Whether a value is harmless in code between these two characters. In shell code, words are; elsewhere a word may be a
    /// column, a function or a command, so that it has to stand between quotes of the language. Numbers and dates may stand
    /// anywhere.
    pub fn takes(self, value: &str, before: Option<char>, after: Option<char>) -> bool {
        if self == Language::Shell {
            return is_plain(value);
        }
        let makes_comment = before == Some('-') && value.starts_with('-') || after == Some('-') && value.ends_with('-');
        let is_quoted = before == after && before.is_some_and(|quote| self.quotes().contains(quote));
        let is_word = || value.chars().all(|c| c.is_ascii_alphanumeric() || self.marks().contains(c));
        let is_text = || !value.starts_with('-') && !value.contains("--") && (is_word() || is_date(value, " "));
        !makes_comment && (is_number(value) || is_quoted && is_text())
    }

    /// Characters that stand around text.
    fn quotes(self) -> &'static str {
        match self {
            Language::Sed => "'\"/|#,",
            Language::Awk => "'\"/",
            _ => "'\"",
        }
    }

    /// Characters besides letters and digits that mean nothing in such a text.
    fn marks(self) -> &'static str {
        match self {
            Language::Sed | Language::Awk | Language::Perl => "_.-",
            _ => "_./:@-",
        }
    }
}

/// What no shell gives a meaning beyond that of a word: names, paths, numbers, dates.
pub(in super::super) fn is_plain(value: &str) -> bool {
    let is_word = value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_./:@,-".contains(&byte));
    let is_harmless = !value.starts_with('-') && !value.contains("--") && (is_date(value, " ") || is_word);
    is_harmless || is_integer(value)
}

/// Numbers, dates and times in one word.
fn is_number(value: &str) -> bool {
    let digits = value.strip_prefix('-').unwrap_or(value);
    digits.starts_with(|c: char| c.is_ascii_digit())
        && digits.ends_with(|c: char| c.is_ascii_digit() || c == 'Z')
        && !digits.contains("--")
        && is_date(digits, "")
}

fn is_date(value: &str, also: &str) -> bool {
    value.chars().all(|c| c.is_ascii_digit() || "-:+.TZ".contains(c) || also.contains(c))
}
