//! The web role against the real store on both databases, with a clock that stands still.

mod auth;
mod dags;
mod edge;
mod fixture;
mod hooks;
mod hostile;
mod mapped;
mod measure;
mod pages;
mod pools;
mod questions;
mod runs;
mod secrets;
mod system;
mod tasks;
mod texts;
