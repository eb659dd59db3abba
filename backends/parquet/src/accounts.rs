//! The accounts of all streams, and their snapshot on disk.
//!
//! A snapshot belongs to the manifest that names it and holds what all frames up to the manifest's sequence number said; the frames
//! after are applied again at open. It outlives the records: a stream whose records were removed by retention keeps its mark.
//!
//! File: "RKAC", version (1), three zero bytes; one zstd frame; xxh3-64 of everything before (8, little endian).

use std::collections::VecDeque;
use std::path::Path;

use hashbrown::HashMap;
use rookery_core::batch::Entry;
use rookery_core::ledger::{EVENTS_LIMIT, Event, StreamAccount, Tally};
use rookery_core::store::Accounts as Which;
use rookery_core::{Error, Position, Result, StreamId, Tenant};
use xxhash_rust::xxh3::xxh3_64;

use crate::disk;
use crate::frame::{put_range, range, text};
use crate::wire::{Reader, put_i64, put_str, put_u64};

const MAGIC: &[u8; 8] = b"RKAC\x01\0\0\0";
/// A snapshot of ten million streams is smaller.
const LIMIT_BYTES: usize = 4 << 30;

/// The accounts of all streams of all tenants.
#[derive(Debug, Default)]
pub(crate) struct Accounts {
    by_stream: HashMap<Tenant, HashMap<StreamId, StreamAccount>>,
}

impl Accounts {
    /// Applies what a block says.
    pub(crate) fn apply(&mut self, tenant: &Tenant, entries: &[Entry], at: i64) {
        if entries.is_empty() {
            return;
        }
        let streams = self.by_stream.entry(tenant.clone()).or_default();
        for entry in entries {
            let stream = entry.range.stream;
            streams
                .entry(stream)
                .or_insert_with(|| StreamAccount::new(tenant.clone(), stream, entry.tags.clone()))
                .apply(entry, at);
        }
    }

    /// Those that are asked for.
    pub(crate) fn list(&self, which: &Which) -> Vec<StreamAccount> {
        match which {
            Which::All => self.by_stream.values().flat_map(HashMap::values).cloned().collect(),
            Which::Tenant(tenant) => {
                self.by_stream.get(tenant).into_iter().flat_map(HashMap::values).cloned().collect()
            }
            Which::Streams(ids) => {
                let found = |id| self.by_stream.values().find_map(|streams| streams.get(id));
                ids.iter().filter_map(found).cloned().collect()
            }
        }
    }

    /// How many streams.
    pub(crate) fn len(&self) -> usize {
        self.by_stream.values().map(HashMap::len).sum()
    }

    /// The content of a snapshot, not compressed yet: cheap enough to be made while appends wait.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.len() * 160);
        put_u64(&mut out, self.by_stream.len() as u64);
        for (tenant, streams) in &self.by_stream {
            put_str(&mut out, tenant.as_str());
            put_u64(&mut out, streams.len() as u64);
            streams.values().for_each(|account| put_account(&mut out, account));
        }
        out
    }

    pub(crate) fn decode(content: &[u8]) -> Result<Self> {
        let mut reader = Reader::new(content);
        let mut accounts = Self::default();
        for _ in 0..reader.count()? {
            let tenant = Tenant::new(reader.str()?)
                .map_err(|e| Error::corrupt("an account names no tenant").because(e))?;
            let count = reader.count()?;
            let streams = accounts.by_stream.entry(tenant.clone()).or_default();
            for _ in 0..count {
                let account = account(&mut reader, &tenant)?;
                streams.insert(account.stream, account);
            }
        }
        Ok(accounts)
    }

    /// Reads a snapshot.
    ///
    /// # Errors
    /// `corrupt` when it is not what was written.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path)
            .map_err(|e| Error::io(format!("read the accounts {}", path.display()), e))?;
        Self::from_bytes(&bytes).map_err(|e| {
            Error::corrupt(format!("the accounts {} are damaged", path.display())).because(e)
        })
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let corrupt = || Error::corrupt("this is not a snapshot of accounts");
        let (body, checksum) = bytes.split_last_chunk::<8>().ok_or_else(corrupt)?;
        let frame = body.strip_prefix(MAGIC).ok_or_else(corrupt)?;
        if xxh3_64(body) != u64::from_le_bytes(*checksum) {
            return Err(corrupt());
        }
        let size = zstd::zstd_safe::get_frame_content_size(frame).ok().flatten();
        let size = size.and_then(|s| usize::try_from(s).ok()).filter(|&s| s <= LIMIT_BYTES);
        let content = zstd::bulk::decompress(frame, size.ok_or_else(corrupt)?)
            .map_err(|e| corrupt().because(e))?;
        Self::decode(&content)
    }
}

/// Writes a snapshot of this content.
///
/// # Errors
/// When it cannot be written.
pub(crate) fn write(path: &Path, content: &[u8]) -> Result<()> {
    disk::replace(path, &to_bytes(content)?)
}

fn to_bytes(content: &[u8]) -> Result<Vec<u8>> {
    let frame = zstd::bulk::compress(content, 1)
        .map_err(|e| Error::internal("the accounts could not be compressed").because(e))?;
    let mut out = Vec::with_capacity(frame.len() + 16);
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&frame);
    let checksum = xxh3_64(&out);
    out.extend_from_slice(&checksum.to_le_bytes());
    Ok(out)
}

fn put_account(out: &mut Vec<u8>, account: &StreamAccount) {
    out.extend_from_slice(&account.stream.0);
    put_str(out, &account.tags);
    put_u64(out, account.mark.generation);
    put_u64(out, account.mark.offset);
    put_u64(out, account.covered_bytes);
    for tally in [account.stored, account.shed, account.lost, account.duplicates] {
        put_u64(out, tally.bytes);
        put_u64(out, tally.records);
    }
    put_u64(out, account.events.len() as u64);
    for event in &account.events {
        put_range(out, &event.range);
        put_i64(out, event.at);
    }
}

fn account(reader: &mut Reader<'_>, tenant: &Tenant) -> Result<StreamAccount> {
    let stream = StreamId(reader.array()?);
    let tags = text(reader)?;
    let mark = Position { generation: reader.u64()?, offset: reader.u64()? };
    let covered_bytes = reader.u64()?;
    let mut tallies = [Tally::default(); 4];
    for tally in &mut tallies {
        *tally = Tally { bytes: reader.u64()?, records: reader.u64()? };
    }
    let mut events = VecDeque::new();
    for _ in 0..reader.count()?.min(EVENTS_LIMIT) {
        events.push_back(Event { range: range(reader)?, at: reader.i64()? });
    }
    let [stored, shed, lost, duplicates] = tallies;
    let mut account = StreamAccount::new(tenant.clone(), stream, tags);
    (account.mark, account.covered_bytes, account.events) = (mark, covered_bytes, events);
    (account.stored, account.shed) = (stored, shed);
    (account.lost, account.duplicates) = (lost, duplicates);
    Ok(account)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rookery_core::batch::{Fate, Range};

    #[test]
    fn a_snapshot_comes_back_and_every_change_is_seen() {
        let mut accounts = Accounts::default();
        for (index, name) in ["a", "b"].iter().enumerate() {
            let stream = StreamId([index as u8; 16]);
            let fate = if index == 0 { Fate::Kept } else { Fate::Lost("gap".into()) };
            let range = Range {
                stream,
                generation: 3,
                start: 0,
                end: 70,
                records: 2,
                fate,
                after: Position::default(),
            };
            let entry = Entry { range, duplicates: 1, duplicate_bytes: 9, tags: "{}".into() };
            accounts.apply(&Tenant::new(name).unwrap(), &[entry], -4);
        }
        let bytes = to_bytes(&accounts.encode()).unwrap();
        let back = Accounts::from_bytes(&bytes).unwrap();
        let sorted = |accounts: &Accounts| {
            let mut list = accounts.list(&Which::All);
            list.sort_by_key(|a| a.stream);
            list
        };
        assert_eq!(sorted(&back), sorted(&accounts));
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert!(Accounts::from_bytes(&changed).is_err(), "byte {at}");
            assert!(Accounts::from_bytes(&bytes[..at]).is_err(), "cut at {at}");
        }
    }
}
