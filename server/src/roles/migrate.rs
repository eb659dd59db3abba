//! `rookery migrate`: the tables in ClickHouse.

use std::process::ExitCode;

use anyhow::Result;

use crate::cli::MigrateArgs;
use crate::config::Config;
use crate::process::{runtime, start_log};

/// `rookery migrate`
pub(crate) fn main(args: &MigrateArgs) -> Result<ExitCode> {
    let config = Config::load(args.config.as_deref())?;
    config.clickhouse.validate()?;
    let _log = start_log(&config.log)?;
    runtime()?.block_on(async {
        if args.dry_run {
            for statement in rookery_clickhouse::dry_run(&config.clickhouse).await? {
                println!("{statement};\n");
            }
        } else {
            rookery_clickhouse::migrate(&config.clickhouse).await?;
            eprintln!("the database {} is up to date", config.clickhouse.database);
        }
        Ok(ExitCode::SUCCESS)
    })
}
