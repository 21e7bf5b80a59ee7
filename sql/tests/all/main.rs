//! Scripts, and what databases make of them. The servers are real, private, and gone afterwards.

mod bind;
mod databases;
mod limits;
mod mysql;
mod notices;
mod place;
mod postgres;
mod script;
mod sqlite;
mod types;
mod values;
