//! The parameters that a script names against those that are given.

use std::ops::Range;

use super::{Dialect, Kind, Script, Statement, Token};
use crate::suggest::{listed, nearest};

/// What does not go together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Misfit {
    /// `:name`, and `name` is not given.
    NotGiven,
    /// A placeholder of the database's own, which nobody could fill.
    Unnamed,
}

/// Something in a script that cannot be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// What it is.
    pub misfit: Misfit,
    /// Where it stands in the script, in bytes.
    pub range: Range<usize>,
}

impl Fault {
    /// What is wrong.
    pub fn message(&self, script: &str) -> String {
        let written = &script[self.range.clone()];
        match self.misfit {
            Misfit::NotGiven => format!("the query names the parameter `{written}`, which is not given"),
            Misfit::Unnamed => format!("the query has the placeholder `{written}`"),
        }
    }

    /// What to do, where these parameters are given.
    pub fn hint(&self, script: &str, given: &[&str]) -> String {
        let name = &script[self.range.start + 1..self.range.end];
        match (self.misfit, nearest(name, given.iter().copied())) {
            (Misfit::Unnamed, _) => "parameters have names: write `:name`, and give `name` in `parameters`".to_owned(),
            (Misfit::NotGiven, Some(meant)) => format!("did you mean `:{meant}`?"),
            (Misfit::NotGiven, None) if given.is_empty() => {
                format!("write its value under `parameters`: `parameters = {{ {name} = \"...\" }}`")
            }
            (Misfit::NotGiven, None) => {
                format!("write its value into `parameters`, which has {}", listed(given.iter().copied()))
            }
        }
    }
}

impl Script<'_> {
    /// Parameters that are not given, and placeholders that nobody could fill.
    pub fn faults(&self, is_given: impl Fn(&str) -> bool) -> Vec<Fault> {
        self.statements().iter().flat_map(|statement| self.faults_of(statement, &is_given)).collect()
    }

    fn faults_of(&self, statement: &Statement, is_given: impl Fn(&str) -> bool) -> Vec<Fault> {
        // Bodies of functions and prepared statements have parameters of their own.
        let has_own =
            self.dialect() == Dialect::Postgres && matches!(self.verb(statement).as_str(), "create" | "prepare");
        let misfit = |token: &Token| match token.kind {
            Kind::Parameter if !is_given(&self.text_at(token)[1..]) => Some(Misfit::NotGiven),
            Kind::Placeholder if !has_own => Some(Misfit::Unnamed),
            _ => None,
        };
        let faults = statement
            .tokens()
            .iter()
            .filter_map(|token| misfit(token).map(|misfit| Fault { misfit, range: token.range.clone() }));
        faults.collect()
    }
}

/// A script whose database is one of several: `[:a]` is a name on SQLite, and holds a parameter elsewhere.
#[derive(Debug)]
pub struct Readings<'a>(Vec<Script<'a>>);

impl<'a> Readings<'a> {
    /// Reads a script as each of these databases would.
    pub fn of(dialects: &[Dialect], text: &'a str) -> Self {
        Readings(dialects.iter().map(|dialect| Script::read(*dialect, text)).collect())
    }

    /// Whether there is nothing to run, whichever database it is.
    pub fn are_empty(&self) -> bool {
        self.0.iter().all(|script| script.statements().is_empty())
    }

    /// Whether one of the databases may see a parameter of this name.
    pub fn may_name(&self, parameter: &str) -> bool {
        self.0.iter().any(|script| script.parameters().contains(&parameter))
    }

    /// What is wrong whichever database it is.
    pub fn faults(&self, is_given: impl Fn(&str) -> bool) -> Vec<Fault> {
        let mut each = self.0.iter().map(|script| script.faults(&is_given));
        let first = each.next().unwrap_or_default();
        each.fold(first, |common, next| common.into_iter().filter(|fault| next.contains(fault)).collect())
    }
}
