//! `flowctl`: every role of Flow, and the commands that operate it. The only place that builds a store, a queue and a
//! clock.

mod args;
mod client;
mod commands;
mod config;
mod failure;
mod hardening;
mod output;
mod roles;
mod slot;
mod telemetry;

use std::process::ExitCode;

use clap::Parser;

use args::{Cli, Command};
use failure::Exit;

fn main() -> ExitCode {
    let cli = Cli::parse();
    // The warden is a plain blocking program that must stay small.
    if let Command::Warden { umask } = cli.command {
        return match flow_worker::warden::run(umask) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => failure::report(&anyhow::Error::new(error).context("the warden failed")),
        };
    }
    if cli.command.is_role() {
        if let Err(error) = hardening::seclude() {
            return failure::report(&error);
        }
    } else if cli.command.writes_for_the_engine() {
        hardening::keep_files_private();
    }
    // Both TLS libraries of the dependencies are the same one; it only has to be named.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failure::report(&anyhow::Error::new(error).context("cannot start the async runtime")),
    };
    match runtime.block_on(commands::run(cli)) {
        Ok(exit) => exit,
        Err(error) => failure::report(&error),
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}
