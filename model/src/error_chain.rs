//! An error with everything that caused it, on one line.

use std::error::Error;

/// What an error says, and what each of its causes says, from the outermost to the innermost: `a: b: c`. A cause that the
/// text before it tells already is not repeated.
pub fn error_chain(error: &dyn Error) -> String {
    let mut said = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !said.contains(&text) {
            said.push_str(": ");
            said.push_str(&text);
        }
        cause = error.source();
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Link(&'static str, Option<Box<Link>>);

    impl std::fmt::Display for Link {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str(self.0)
        }
    }

    impl Error for Link {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            self.1.as_deref().map(|cause| cause as &dyn Error)
        }
    }

    #[test]
    fn every_cause_is_told_once() {
        let innermost = Link("disk full", None);
        let middle = Link("write failed", Some(Box::new(innermost)));
        assert_eq!(error_chain(&Link("no run", Some(Box::new(middle)))), "no run: write failed: disk full");
        let repeated = Link("b: c", Some(Box::new(Link("c", None))));
        assert_eq!(error_chain(&Link("a", Some(Box::new(repeated)))), "a: b: c");
    }
}
