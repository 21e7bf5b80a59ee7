//! Tells apart, while a template is rendered, what of the text is the author's and what is a value.
//!
//! The engine writes to the recorder directly: its own text as it is, a value through the formatter, which says so. Text that
//! is captured (a macro, `{% set %}`, `{% filter %}`, `caller()`) never comes here: it is a text like any other for filters
//! and tests, and one value when it is printed.
//!
//! What the author calls `safe` is told by the very text that the filter has made, which the recorder holds on to. Nothing
//! that is made of it later is that text, and what the engine itself calls "safe" (it means: as HTML) has no meaning here.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use minijinja::{AutoEscape, Environment, Error, State, Value};

use crate::filters::urlencoded;
use crate::pieces::{Pieces, PlacedValue};
use crate::program::run_if_program;
use crate::python;
use crate::sinks::sql::Identifier;

/// Collects the pieces of one rendering.
#[derive(Debug, Clone, Default)]
pub(crate) struct Recorder(Arc<Mutex<Recorded>>);

#[derive(Debug, Default)]
struct Recorded {
    pieces: Pieces,
    /// What the formatter is printing now.
    printing: Option<Printed>,
    /// Whether what has no value is one all the same.
    keeps_nothing: bool,
    /// Labelled texts by where they are.
    labelled: HashMap<usize, (Label, Value)>,
}

/// What the formatter prints.
#[derive(Debug)]
enum Printed {
    Own,
    Value(PlacedValue),
    /// The value is a piece already.
    Done,
}

/// What the author says of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Label {
    /// `safe`: it is the author's own.
    Safe,
    /// `urlencode`: it is percent-encoded.
    Encoded,
}

impl Recorder {
    /// One for places that have a word for nothing: `{{ x if false }}` is a value there.
    pub fn keeping_nothing() -> Self {
        let recorded = Recorded { keeps_nothing: true, ..Recorded::default() };
        Recorder(Arc::new(Mutex::new(recorded)))
    }

    /// Lets an environment print through this recorder.
    pub fn attach(&self, environment: &mut Environment<'_>) {
        let recorder = self.clone();
        environment.add_filter("safe", move |text: String| recorder.label(Label::Safe, text));
        let recorder = self.clone();
        environment.add_filter("urlencode", move |value: &Value| {
            urlencoded(value).map(|text| recorder.label(Label::Encoded, text))
        });
        let recorder = self.clone();
        environment.set_formatter(move |out, state, value| {
            if run_if_program(out, state, value)? {
                return Ok(());
            }
            let printed = recorder.printed(state, value)?;
            let text = match &printed {
                Printed::Value(value) => value.text.clone(),
                _ => value.to_string(),
            };
            recorder.lock().printing = Some(printed);
            let written = out.write_str(&text);
            recorder.lock().printing = None;
            written.map_err(Error::from)
        });
    }

    /// What has been printed.
    pub fn take(&self) -> Pieces {
        std::mem::take(&mut self.lock().pieces)
    }

    /// Nothing else in this process is that text as long as it is held: it is known by where it is.
    fn label(&self, label: Label, text: String) -> Value {
        // Not a short string, which would be copied instead of shared.
        let value = Value::from_safe_string(text);
        self.lock().labelled.extend(place(&value).map(|place| (place, (label, value.clone()))));
        value
    }

    fn has(&self, label: Label, value: &Value) -> bool {
        value.is_safe()
            && place(value)
                .is_some_and(|place| matches!(self.lock().labelled.get(&place), Some((of, _)) if *of == label))
    }

    fn printed(&self, state: &mut State<'_, '_>, value: &Value) -> Result<Printed, Error> {
        if (value.is_undefined() && !self.lock().keeps_nothing) || self.has(Label::Safe, value) {
            return Ok(Printed::Own);
        }
        let text = match (value.downcast_object_ref::<Identifier>(), state.auto_escape()) {
            (Some(identifier), _) => identifier.text(),
            (None, AutoEscape::None) => python::text(value),
            // In `{% autoescape %}`.
            _ => minijinja::filters::escape(state, value)?.to_string(),
        };
        Ok(Printed::Value(PlacedValue {
            text,
            kind: value.kind(),
            native: value.clone(),
            is_encoded: self.has(Label::Encoded, value),
        }))
    }

    fn lock(&self) -> MutexGuard<'_, Recorded> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn place(value: &Value) -> Option<usize> {
    value.as_str().map(|text| text.as_ptr().addr())
}

impl io::Write for Recorder {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.write_all(text)?;
        Ok(text.len())
    }

    /// Also called for an empty value, which is a piece, too.
    fn write_all(&mut self, text: &[u8]) -> io::Result<()> {
        let text = std::str::from_utf8(text).map_err(io::Error::other)?;
        let mut recorded = self.lock();
        match recorded.printing.take() {
            None => recorded.pieces.push_own(text),
            Some(Printed::Own) => {
                recorded.pieces.push_own(text);
                recorded.printing = Some(Printed::Own);
            }
            Some(Printed::Value(value)) => {
                recorded.pieces.push_value(value);
                recorded.printing = Some(Printed::Done);
            }
            Some(Printed::Done) => recorded.printing = Some(Printed::Done),
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
