//! `rookery dead-letter`: what could not be decoded.

use std::process::ExitCode;

use anyhow::Result;
use rookery_kafka::dead_letter;

use crate::cli::{DeadLetterAction, DeadLetterArgs};
use crate::config::Config;

/// `rookery dead-letter`
pub(crate) fn main(args: &DeadLetterArgs) -> Result<ExitCode> {
    let config = Config::load(args.config.as_deref())?.kafka;
    config.check()?;
    match &args.action {
        DeadLetterAction::List { limit } => {
            let letters = dead_letter::list(&config, *limit)?;
            for letter in &letters {
                println!(
                    "{}  {}/{}@{}  {} bytes  {}",
                    letter.time,
                    letter.topic,
                    letter.partition,
                    letter.offset,
                    letter.size_bytes,
                    letter.reason
                );
            }
            eprintln!("{} dead letters", letters.len());
        }
        DeadLetterAction::Replay { to } => {
            let sent = dead_letter::replay(&config, to.as_deref())?;
            eprintln!("{sent} messages sent again");
        }
    }
    Ok(ExitCode::SUCCESS)
}
