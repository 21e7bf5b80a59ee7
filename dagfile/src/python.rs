//! What a Python source imports, and what it defines: read from its text, without running it.

mod metadata;
mod stdlib;
mod tokens;

pub(crate) use metadata::metadata;
pub(crate) use stdlib::is_stdlib;
use tokens::{Line, Token, lines};

/// An import statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Import {
    /// Its line; 1 is the first.
    pub line: usize,
    /// It stands where it may fail: in a `try`, or for type checkers only.
    pub is_optional: bool,
    /// `from` how many levels up; 0 for an absolute import.
    pub level: usize,
    /// The module, with dots; empty in `from . import x`.
    pub module: String,
    /// For `from module import ...`: the names. `None`: the module itself is imported.
    pub names: Option<Vec<String>>,
}

/// All imports of a source, in order, wherever they stand.
pub(crate) fn imports(source: &str) -> Vec<Import> {
    let mut found = Vec::new();
    // Blocks around the line whose failure is foreseen, by their indentation.
    let mut blocks: Vec<usize> = Vec::new();
    for line in lines(source) {
        blocks.retain(|indent| *indent < line.indent);
        let is_guard = guards(&line);
        let is_optional = is_guard || !blocks.is_empty();
        for start in statement_starts(&line.tokens) {
            found.extend(import(&line, start, is_optional));
        }
        if is_guard {
            blocks.push(line.indent);
        }
    }
    found
}

/// Whether a source may define a name: it stands there as a name, or names may come from elsewhere.
pub(crate) fn may_define(source: &str, name: &str) -> bool {
    lines(source).iter().flat_map(|line| &line.tokens).any(|token| match token {
        Token::Word(word) => word == name || matches!(word.as_str(), "__getattr__" | "globals" | "setattr" | "exec"),
        Token::Other(_) => false,
    }) || imports(source).iter().any(|import| import.names.as_ref().is_some_and(|names| names.iter().any(|n| n == "*")))
}

/// The names that a source defines at its top level with `def` and `class`.
pub(crate) fn definitions(source: &str) -> Vec<String> {
    let defined = |line: &Line| match line.tokens.as_slice() {
        [Token::Word(kind), Token::Word(name), ..] if matches!(kind.as_str(), "def" | "class") => Some(name.clone()),
        [Token::Word(first), Token::Word(kind), Token::Word(name), ..] if first == "async" && kind == "def" => {
            Some(name.clone())
        }
        _ => None,
    };
    lines(source).iter().filter(|line| line.indent == 0).filter_map(defined).collect()
}

/// Whether a line begins a block in which imports may fail.
fn guards(line: &Line) -> bool {
    let is = |index: usize, word: &str| matches!(line.tokens.get(index), Some(Token::Word(found)) if found == word);
    is(0, "try")
        || is(0, "except")
        || (is(0, "if") && line.tokens.iter().any(|token| *token == Token::Word("TYPE_CHECKING".to_owned())))
        || (is(0, "with") && line.tokens.iter().any(|token| *token == Token::Word("suppress".to_owned())))
}

/// Where simple statements begin: at the start of the line, after `;`, and after the `:` of a compound statement.
fn statement_starts(tokens: &[Token]) -> Vec<usize> {
    let mut depth = 0_usize;
    let mut starts = vec![0];
    for (index, token) in tokens.iter().enumerate() {
        match token {
            Token::Other('(' | '[' | '{') => depth += 1,
            Token::Other(')' | ']' | '}') => depth = depth.saturating_sub(1),
            Token::Other(';' | ':') if depth == 0 => starts.push(index + 1),
            _ => {}
        }
    }
    starts
}

fn import(line: &Line, start: usize, is_optional: bool) -> Vec<Import> {
    let tokens = &line.tokens[start.min(line.tokens.len())..];
    let one = |level, module, names| Import { line: line.number, is_optional, level, module, names };
    match tokens {
        [Token::Word(word), rest @ ..] if word == "import" => {
            pieces(rest).into_iter().filter_map(|piece| Some(one(0, dotted(piece)?, None))).collect()
        }
        [Token::Word(word), rest @ ..] if word == "from" => {
            let Some(at) = rest.iter().position(|token| *token == Token::Word("import".to_owned())) else {
                return Vec::new();
            };
            let (from, names) = (&rest[..at], &rest[at + 1..]);
            let level = from.iter().take_while(|token| **token == Token::Other('.')).count();
            let module = dotted(&from[level..]).unwrap_or_default();
            if level == 0 && module.is_empty() {
                return Vec::new();
            }
            vec![one(level, module, Some(pieces(names).into_iter().filter_map(first).collect()))]
        }
        _ => Vec::new(),
    }
}

/// What stands between commas, up to the end of the statement.
fn pieces(tokens: &[Token]) -> Vec<&[Token]> {
    let end = tokens.iter().position(|token| *token == Token::Other(';')).unwrap_or(tokens.len());
    tokens[..end].split(|token| *token == Token::Other(',')).collect()
}

/// `a.b.c`, up to `as`.
fn dotted(tokens: &[Token]) -> Option<String> {
    let mut name = String::new();
    for token in tokens {
        match token {
            Token::Word(word) if word == "as" => break,
            Token::Word(word) => name.push_str(word),
            Token::Other('.') => name.push('.'),
            Token::Other(_) => return None,
        }
    }
    (!name.is_empty()).then_some(name)
}

/// The name that is imported, up to `as`.
fn first(tokens: &[Token]) -> Option<String> {
    tokens.iter().find_map(|token| match token {
        Token::Word(word) => Some(word.clone()),
        Token::Other('*') => Some("*".to_owned()),
        Token::Other(_) => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(source: &str) -> Vec<String> {
        imports(source)
            .into_iter()
            .map(|import| {
                let names = import.names.map(|names| format!(" [{}]", names.join(" "))).unwrap_or_default();
                let optional = if import.is_optional { "?" } else { "" };
                format!("{}: {}{}{names}{optional}", import.line, ".".repeat(import.level), import.module)
            })
            .collect()
    }

    #[test]
    fn statements_of_every_form_are_found() {
        let source = r#"
"""import not_me"""
import os, sales.load as load; import json
from sales import (orders,  # import nor_me
    returns as back,
)
from . import beside
from ..up import x
from .rates import *
x = "from a import b"; y = f'import {x}'
text = '''
import neither
'''
if True: import inline
def f():
    import \
        later
    yield from g
raise E from e
lambda: 1
"#;
        let expected = [
            "3: os",
            "3: sales.load",
            "3: json",
            "4: sales [orders returns]",
            "7: . [beside]",
            "8: ..up [x]",
            "9: .rates [*]",
            "14: inline",
            "16: later",
        ];
        assert_eq!(shown(source), expected);
    }

    #[test]
    fn imports_that_may_fail_are_told_apart() {
        let source = "
try:
    import a
    if x:
        import b
except ImportError:
    import c
else:
    import d
import e
if TYPE_CHECKING:
    import f
try: import g
finally: pass
with suppress(ImportError):
    import h
import i
";
        assert_eq!(shown(source), ["3: a?", "5: b?", "7: c?", "9: d", "10: e", "12: f?", "13: g?", "16: h?", "17: i"]);
    }

    #[test]
    fn any_text_is_read_to_its_end() {
        for source in
            ["'", "\"\"\"", "(", "import", "from", "from .", "import a.", "\\", "\t\\\n", "f'{'", "from import x"]
        {
            let _ = shown(source);
            let _ = definitions(source);
        }
        assert_eq!(shown("import a.\n"), ["1: a."]);
    }

    #[test]
    fn definitions_are_those_of_the_top_level() {
        let source = "def a(): pass\nclass B:\n    def c(self): ...\nasync def d(): ...\n# def e\n";
        assert_eq!(definitions(source), ["a", "B", "d"]);
        assert!(may_define("x = make()", "x"));
        assert!(!may_define("# x\n'x'", "x"));
        assert!(may_define("from other import *", "x"));
        assert!(may_define("def __getattr__(name): ...", "x"));
    }
}
