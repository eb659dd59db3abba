//! Schema migrations: forward only, and safe when two processes make them at once.
//!
//! Each step is a list of statements that can be run any number of times (`IF NOT EXISTS`, or a change that is the same when it is made
//! twice): so two processes that start together need no lock, and a step that was cut off is run again. A step that took place is a row in
//! `schema_migrations`. A step is never changed once it is released; a change is a new step.

use arrow_array::cast::AsArray;
use arrow_array::types::UInt32Type;
use rookery_core::{Error, Kind, Result};

use crate::client::{Client, Statement};
use crate::config::ClickHouseConfig;
use crate::schema::{Dialect, Features};
use crate::store::wait_for;

/// One step.
struct Step {
    version: u32,
    name: &'static str,
    statements: fn(&Dialect) -> Vec<String>,
}

const STEPS: &[Step] = &[
    Step {
        version: 1,
        name: "logs, their ledger, and the claims",
        statements: |dialect| {
            [dialect.claims(), dialect.ledger(), dialect.events(), dialect.logs()].concat()
        },
    },
    Step {
        version: 2,
        name: "the level of a record as a column, and fields packed closer",
        statements: |dialect| [dialect.level(), dialect.fields_packed()].concat(),
    },
];

/// The schema that this program reads and writes.
pub(crate) const VERSION: u32 = STEPS[STEPS.len() - 1].version;

/// Brings the schema to the version of this program; waits for a server that is not there yet. Gives the names of the steps that were made.
///
/// # Errors
/// `conflict` when the schema is newer than this program; what the server says otherwise.
pub async fn migrate(config: &ClickHouseConfig) -> Result<Vec<String>> {
    let client = Client::new(config)?;
    let dialect = wait_for(config, "an answer", || dialect(&client, config)).await?;
    let server = client.without_database();
    let made = version(&client).await?;
    let mut names = Vec::new();
    for step in pending(made)? {
        if names.is_empty() {
            server.execute(&Statement::new(dialect.database())).await?;
            server.execute(&Statement::new(dialect.migrations())).await?;
        }
        for statement in (step.statements)(&dialect) {
            server.execute(&Statement::new(statement)).await?;
        }
        let note = Statement::new(
            "INSERT INTO schema_migrations SELECT {version:UInt32}, {name:String}, now64(3, 'UTC'), {by:String}",
        );
        let by = concat!("rookery ", env!("CARGO_PKG_VERSION"));
        let note = note.param("version", step.version).param("name", step.name).param("by", by);
        client.execute(&note).await?;
        names.push(format!("{} {}", step.version, step.name));
    }
    Ok(names)
}

/// The statements that [`migrate`] would run now. Nothing is changed.
///
/// # Errors
/// As [`migrate`].
pub async fn dry_run(config: &ClickHouseConfig) -> Result<Vec<String>> {
    let client = Client::new(config)?;
    let dialect = dialect(&client, config).await?;
    let steps = pending(version(&client).await?)?;
    let mut statements = Vec::new();
    if !steps.is_empty() {
        statements.extend([dialect.database(), dialect.migrations()]);
    }
    statements.extend(steps.iter().flat_map(|step| (step.statements)(&dialect)));
    Ok(statements)
}

/// The version of the schema; 0 when there is none.
pub(crate) async fn version(client: &Client) -> Result<u32> {
    let newest = Statement::new("SELECT max(version) AS version FROM schema_migrations");
    match client.rows(&newest).await {
        Ok(rows) => Ok(rows
            .first()
            .and_then(|row| {
                row.column(0).as_primitive_opt::<UInt32Type>()?.values().first().copied()
            })
            .unwrap_or(0)),
        Err(error) if error.kind() == Kind::NotFound => Ok(0),
        Err(error) => Err(error),
    }
}

/// The steps after a version.
fn pending(made: u32) -> Result<Vec<&'static Step>> {
    if made > VERSION {
        return Err(newer(made));
    }
    Ok(STEPS.iter().filter(|step| step.version > made).collect())
}

/// Whether a schema of this version can be worked with now; false when it is still to be made.
///
/// # Errors
/// `conflict` when it is newer.
pub(crate) fn fits(made: u32) -> Result<bool> {
    if made > VERSION { Err(newer(made)) } else { Ok(made == VERSION) }
}

fn newer(made: u32) -> Error {
    Error::conflict(format!(
        "the schema in ClickHouse is of version {made}, and this program knows up to {VERSION}: run the newer program that made it, \
         or name another clickhouse.database"
    ))
}

async fn dialect(client: &Client, config: &ClickHouseConfig) -> Result<Dialect> {
    let question = Statement::new(
        "SELECT
            toUInt32((SELECT count() FROM system.settings WHERE name = 'query_plan_direct_read_from_text_index'
                AND (SELECT value FROM system.settings WHERE name = 'enable_full_text_index') = '1')) AS text_index,
            toUInt32((SELECT count() FROM system.merge_tree_settings WHERE name = 'map_buckets_min_avg_size')) AS map_buckets,
            toUInt32((SELECT count() FROM system.merge_tree_settings WHERE name = 'min_level_for_wide_part')) AS wide_by_level",
    );
    let rows = client.without_database().rows(&question).await?;
    let answer = |column: usize| {
        let row = rows.first()?;
        row.column(column).as_primitive_opt::<UInt32Type>()?.values().first().map(|n| *n > 0)
    };
    let features = Features {
        text_index: answer(0).unwrap_or(false),
        map_buckets: answer(1).unwrap_or(false),
        wide_by_level: answer(2).unwrap_or(false),
    };
    Dialect::new(config, features)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_only_grow_and_a_newer_schema_is_refused() {
        assert!(STEPS.windows(2).all(|pair| pair[0].version < pair[1].version));
        assert_eq!(pending(VERSION + 1).err().unwrap().kind(), Kind::Conflict);
        assert!(pending(VERSION).unwrap().is_empty());
        assert!(fits(VERSION).unwrap() && !fits(0).unwrap());
    }
}
