//! One process on SQLite: DAG text goes in, states and logs come out.

mod abuse;
mod arrivals;
mod callbacks;
mod commands;
mod control;
mod crashes;
mod files;
mod hardening;
mod hooks;
mod imports;
mod interventions;
mod marks;
mod odds;
mod outputs;
mod plugins;
mod python;
mod redis;
mod refusals;
mod scripts;
mod secrets;
mod sensors;
mod sinks;
mod sql;
mod tasks;
mod trigger_dag;
