//! Flow as a whole, from outside.
#![expect(clippy::print_stdout, reason = "what a test prints is shown when it fails, or when asked for")]

mod architecture;
mod canary;
mod chaos;
mod cluster;
mod examples;
mod linters;
mod python;
mod regressions;
mod standalone;
mod streams;
mod values;
