//! The `rookery` binary: sub-commands, and what each starts. No logic lives here.
//!
//! The feature `full` is everything. Without it the binary is the collector's role alone, for the image that runs on every node: no store,
//! no page, no query, no receiver. What the two builds differ in stands here, in [`cli`], in [`roles`] and in [`config`]'s sections.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command talks on its own streams"
)]
// Parts of shared modules are for other roles only. The full build, in which all of them are used, finds what nobody uses.
#![cfg_attr(not(feature = "full"), allow(dead_code))]

mod cli;
mod config;

mod process;
mod reload;
mod sources;
#[cfg(feature = "full")]
mod standalone;

mod roles;

mod api;
mod ledger;
mod metrics;
#[cfg(feature = "full")]
mod receiving;
#[cfg(feature = "full")]
mod web;

#[cfg(feature = "full")]
mod client;
#[cfg(feature = "full")]
mod demo;
#[cfg(feature = "full")]
mod print;

use std::process::ExitCode;

use clap::Parser;

use cli::{Cli, Command};

/// Many short-lived buffers of many sizes on many threads, which is what this allocator is made for.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let outcome = match Cli::parse().command() {
        Command::Collector(args) => roles::collector::main(&args),
        Command::CheckConfig(args) => config::check(&args),
        Command::ConfigReference => config::print_reference(),
        #[cfg(feature = "full")]
        Command::Full(command) => full(&command),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("rookery: {error:#}");
        ExitCode::FAILURE
    })
}

#[cfg(feature = "full")]
fn full(command: &cli::FullCommand) -> anyhow::Result<ExitCode> {
    use cli::FullCommand as Command;
    match command {
        Command::Standalone(args) => standalone::main(args),
        Command::Ingester(args) => roles::ingester::main(args),
        Command::Query(args) => roles::query::main(args),
        Command::Receiver(args) => roles::receiver::main(args),
        Command::Migrate(args) => roles::migrate::main(args),
        Command::DeadLetter(args) => roles::dead_letter::main(args),
        Command::Search(args) => print::search(args),
        Command::Tail(args) => print::tail(args),
        Command::Ledger(args) => print::ledger(args),
        Command::Token(command) => receiving::token(command),
        Command::Demo(args) => standalone::demo(args),
    }
}
