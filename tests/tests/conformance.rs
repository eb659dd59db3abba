//! Every case of `tests/conformance/` on every store.

#![expect(clippy::print_stderr, reason = "how many cases a file has is what a run says")]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Result, ensure};
use rookery_core::store::Store;
use rookery_core::units::{Bytes, Span};
use rookery_parquet::{ParquetConfig, ParquetStore, Retention};
use rookery_query::config::QueryConfig;
use rookery_query::exec::Engine;
use rookery_tests::conformance::{self, Failure, File, ReferenceStore, Section};
use tempfile::TempDir;

/// Where the files are.
fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("conformance")
}

/// A store that holds a section's records, and the folder that must outlive it.
type Filled = (Arc<dyn Store>, Option<TempDir>);

/// Runs all files; `fill` makes a store of a section's records.
async fn run<F: AsyncFn(&Section) -> Result<Filled>>(name: &str, fill: F) -> Result<()> {
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(folder())?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "test"));
    paths.sort();
    let mut failed = 0;
    for path in paths {
        let file = File::read(&path)?;
        let mut failures: Vec<Failure> = Vec::new();
        for section in &file.sections {
            let (store, _folder) = fill(section).await?;
            // Two threads, so that each answer is merged from parts, on any machine.
            let config = QueryConfig { threads: 2, ..QueryConfig::default() };
            let engine = Engine::new(store.clone(), config);
            for case in &section.cases {
                failures.extend(conformance::check(&file, case, &engine).await);
            }
            store.close().await?;
        }
        let short = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        eprintln!("{name}: {short}: {} cases, {} differ", file.len(), failures.len());
        for failure in &failures {
            eprintln!("{failure}");
        }
        if std::env::var_os("ROOKERY_UPDATE").is_some() {
            conformance::update(&path, &failures)?;
        }
        failed += failures.len();
    }
    ensure!(failed == 0, "{failed} cases differ on {name}");
    Ok(())
}

/// The embedded store in a folder; old records are kept, whatever the day of the test.
fn open(folder: &TempDir) -> Result<ParquetStore> {
    let years = Span::seconds(200 * 365 * 24 * 3600);
    Ok(ParquetStore::open(ParquetConfig {
        directory: folder.path().into(),
        retention: Retention { age: years, total: None },
        min_free_disk: Bytes::mib(1),
        ..ParquetConfig::default()
    })?)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_reference_store_answers_as_the_files_say() -> Result<()> {
    run("reference", async |section| {
        let store = Arc::new(ReferenceStore::default());
        for block in conformance::blocks(section)? {
            store.append(block).await?;
        }
        Ok((store as Arc<dyn Store>, None))
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_memory_table_answers_as_the_files_say() -> Result<()> {
    run("memory", async |section| {
        let folder = tempfile::tempdir()?;
        let store = open(&folder)?;
        for block in conformance::blocks(section)? {
            store.append(block).await?;
        }
        let usage = store.usage();
        ensure!(usage.memory_records == section.records.len() as u64 && usage.parts == 0);
        Ok((Arc::new(store) as Arc<dyn Store>, Some(folder)))
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parts_answer_as_the_files_say() -> Result<()> {
    run("parts", async |section| {
        let folder = tempfile::tempdir()?;
        let store = open(&folder)?;
        for block in conformance::blocks(section)? {
            store.append(block).await?;
        }
        store.close().await?;
        drop(store);
        let store = open(&folder)?;
        let usage = store.usage();
        ensure!(usage.part_records == section.records.len() as u64 && usage.memory_records == 0);
        Ok((Arc::new(store) as Arc<dyn Store>, Some(folder)))
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parts_and_memory_together_answer_as_the_files_say() -> Result<()> {
    run("both", async |section| {
        let folder = tempfile::tempdir()?;
        let blocks = conformance::blocks(section)?;
        let half = blocks.len() / 2;
        let store = open(&folder)?;
        for block in &blocks[..half] {
            store.append(block.clone()).await?;
        }
        store.close().await?;
        drop(store);
        let store = open(&folder)?;
        for block in &blocks[half..] {
            store.append(block.clone()).await?;
        }
        Ok((Arc::new(store) as Arc<dyn Store>, Some(folder)))
    })
    .await
}
