//! The `rookery` binary: sub-commands, and what each starts. No logic lives here.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command talks on its own streams"
)]

mod cli;
mod config;

mod process;
mod reload;
mod sources;
mod standalone;

mod roles;

mod api;
mod ledger;
mod metrics;
mod receiving;
mod web;

mod client;
mod demo;
mod print;

use std::process::ExitCode;

use clap::Parser;

use cli::{Cli, Command};

/// Many short-lived buffers of many sizes on many threads, which is what this allocator is made for.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let outcome = match cli.command.unwrap_or(Command::Standalone(cli.standalone)) {
        Command::Standalone(args) => standalone::main(&args),
        Command::Collector(args) => roles::collector::main(&args),
        Command::Ingester(args) => roles::ingester::main(&args),
        Command::Query(args) => roles::query::main(&args),
        Command::Receiver(args) => roles::receiver::main(&args),
        Command::Migrate(args) => roles::migrate::main(&args),
        Command::DeadLetter(args) => roles::dead_letter::main(&args),
        Command::Search(args) => print::search(&args),
        Command::Tail(args) => print::tail(&args),
        Command::Ledger(args) => print::ledger(&args),
        Command::CheckConfig(args) => config::check(&args),
        Command::ConfigReference => config::print_reference(),
        Command::Token(command) => receiving::token(&command),
        Command::Demo(args) => standalone::demo(&args),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("rookery: {error:#}");
        ExitCode::FAILURE
    })
}
