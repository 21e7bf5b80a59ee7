//! One suite for both databases: every case is written once and runs on SQLite and on PostgreSQL.

#[macro_use]
mod bench;
mod artifacts;
mod audited;
mod callbacks;
mod choices;
mod claims;
mod concurrent;
mod dags;
mod differential;
mod ending;
mod explained;
mod faults;
mod limits;
mod losses;
mod mapping;
mod moves;
mod obstacles;
mod orders;
mod past;
mod people;
mod plans;
mod pooler;
mod published;
mod questions;
mod queueing;
mod schedules;
mod schema;
mod secrets;
mod smoke;
mod starts;
mod tokens;
mod triggers;
mod world;
mod xcoms;
