//! The manifest: the one list of what the store holds, replaced atomically.
//!
//! `manifest.json` is a line `rookery manifest 1 <xxh3-64 of the rest, hex>` and a JSON document. It names the parts, the snapshot of the accounts,
//! and the last frame of the log that both include. What is in the folder and not in the manifest never happened: it
//! is removed when the store is opened.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use hashbrown::HashSet;
use rookery_core::{Error, Result};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use crate::disk;
use crate::part::PartInfo;

const NAME: &str = "manifest.json";
const HEADING: &str = "rookery manifest 1 ";

/// What the store holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Manifest {
    /// The last frame of the log that is in the parts and in the accounts.
    pub(crate) log_sequence: u64,
    /// The number of the next part.
    pub(crate) next_part: u64,
    /// The file of the accounts, once there is one.
    pub(crate) accounts: Option<String>,
    /// The parts, in no order.
    pub(crate) parts: Vec<PartInfo>,
}

impl Manifest {
    /// Reads the manifest of a store; an empty one for a folder without a store.
    ///
    /// # Errors
    /// `corrupt` when it is damaged, or missing beside parts. Nothing is removed then.
    pub(crate) fn read(directory: &Path) -> Result<Self> {
        let path = directory.join(NAME);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return match any_part(directory) {
                    None => Ok(Self::default()),
                    Some(part) => Err(Error::corrupt(format!(
                        "{} is missing although there are parts ({}): restore it from a backup, or move the folder away to start \
                         with an empty store",
                        path.display(),
                        part.display()
                    ))),
                };
            }
            Err(error) => return Err(Error::io(format!("read {}", path.display()), error)),
        };
        Self::from_bytes(&bytes).map_err(|error| {
            Error::corrupt(format!(
                "{} is damaged: restore it from a backup, or move the folder away to start with an empty store",
                path.display()
            ))
            .because(error)
        })
    }

    /// The manifest in these bytes.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let corrupt = || Error::corrupt("this is not a manifest");
        let text = std::str::from_utf8(bytes).map_err(|e| corrupt().because(e))?;
        let (heading, json) = text.split_once('\n').ok_or_else(corrupt)?;
        let checksum = heading.strip_prefix(HEADING).ok_or_else(corrupt)?;
        if checksum != format!("{:016x}", xxh3_64(json.as_bytes())) {
            return Err(Error::corrupt("the checksum of the manifest is wrong"));
        }
        Self::from_json(json.as_bytes())
    }

    /// The manifest in this JSON.
    pub(crate) fn from_json(json: &[u8]) -> Result<Self> {
        serde_json::from_slice(json)
            .map_err(|e| Error::corrupt("this is not a manifest").because(e))
    }

    fn to_bytes(&self) -> Result<Vec<u8>> {
        let json = serde_json::to_string_pretty(self)
            .map_err(|e| Error::internal("the manifest cannot be written as JSON").because(e))?;
        Ok(format!("{HEADING}{:016x}\n{json}", xxh3_64(json.as_bytes())).into_bytes())
    }

    /// Replaces the manifest. When it returns, the disk has it.
    ///
    /// # Errors
    /// When it cannot be written; the old one stays.
    pub(crate) fn write(&self, directory: &Path) -> Result<()> {
        disk::replace(&directory.join(NAME), &self.to_bytes()?)
    }

    /// Removes what no manifest lists: parts that were being written or had been merged, old accounts, temporary files.
    ///
    /// # Errors
    /// When a folder cannot be read.
    pub(crate) fn remove_strangers(&self, directory: &Path) -> Result<usize> {
        let mut listed: HashSet<PathBuf> = HashSet::new();
        for part in &self.parts {
            listed.insert(part.data_path(directory));
            listed.insert(part.index_path(directory));
        }
        let mut removed = 0;
        for path in files(directory)? {
            let name = path.file_name().and_then(OsStr::to_str).unwrap_or("");
            let extension = path.extension().and_then(OsStr::to_str).unwrap_or("");
            let is_part = matches!(extension, "parquet" | "index");
            let is_old = name.starts_with("accounts-") && self.accounts.as_deref() != Some(name);
            if extension == disk::TEMPORARY || is_old || (is_part && !listed.contains(&path)) {
                tracing::info!(path = %path.display(), "a file that no manifest lists is removed");
                disk::remove_quietly(&path);
                removed += 1;
            }
        }
        Ok(removed)
    }
}

/// The files of a store: those at the top, and those of tenants and days under `parts`.
fn files(directory: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut folders = vec![(directory.to_owned(), 0)];
    while let Some((folder, depth)) = folders.pop() {
        let failed = |e| Error::io(format!("list {}", folder.display()), e);
        for entry in fs::read_dir(&folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let is_folder = entry.file_type().map_err(failed)?.is_dir();
            match (is_folder, depth) {
                (false, _) => files.push(entry.path()),
                (true, 0) if entry.file_name() != "parts" => {}
                (true, _) => folders.push((entry.path(), depth + 1)),
            }
        }
    }
    Ok(files)
}

fn any_part(directory: &Path) -> Option<PathBuf> {
    let files = files(directory).ok()?;
    files.into_iter().find(|path| path.extension().is_some_and(|e| e == "parquet"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_comes_back_and_every_change_is_seen() {
        let info = PartInfo {
            id: 3,
            tenant: rookery_core::Tenant::default(),
            day: 20_000,
            rows: 5,
            data_bytes: 7,
            index_bytes: 8,
            min_time: i64::MIN,
            max_time: i64::MAX,
            level: 1,
        };
        let manifest = Manifest {
            log_sequence: u64::MAX,
            next_part: 4,
            accounts: Some("accounts-1".into()),
            parts: vec![info],
        };
        let bytes = manifest.to_bytes().unwrap();
        assert_eq!(Manifest::from_bytes(&bytes).unwrap(), manifest);
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert!(Manifest::from_bytes(&changed).is_err(), "byte {at}");
        }
    }

    #[test]
    fn parts_without_a_manifest_are_not_an_empty_store() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Manifest::read(folder.path()).unwrap(), Manifest::default());
        let day = folder.path().join("parts/default/2026-01-01");
        fs::create_dir_all(&day).unwrap();
        fs::write(day.join("0000000000000001.parquet"), "").unwrap();
        assert_eq!(Manifest::read(folder.path()).unwrap_err().kind(), rookery_core::Kind::Corrupt);
        assert_eq!(Manifest::default().remove_strangers(folder.path()).unwrap(), 1);
    }
}
