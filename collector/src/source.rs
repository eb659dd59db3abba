//! One physical file: what tells it from others, and its bytes, decompressed.
//!
//! A file is named by (device, inode, time of birth) as long as it is open or its birth is known, so a reused inode is
//! another file. Beyond that, by its start: the hash of its first bytes, which a rename, a copy and a compression do not change.
//!
//! A gzip file is told by its magic number (RFC 1952), never by its name. Its decoder is kept only while the file is being read.
//!
//! A program that opened its log without `O_APPEND` goes on at its offset when the file is truncated; then the file begins with a hole, which reads as
//! zeros, and so do its copies. What tells such a file from others is the hole's length and what stands behind it.

use std::fs::{File, Metadata};
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use flate2::read::MultiGzDecoder;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

/// How many first bytes tell a file from others.
pub(crate) const START_BYTES: usize = 1024;

/// How much is read at once to find the end of a hole that the file system does not know.
const SCAN_BYTES: usize = 256 << 10;

/// The most bytes that one byte of deflate can stand for (RFC 1951: 258 bytes in two bits).
const DEFLATE_RATIO: u64 = 1032;

/// The compressed bytes read at once.
const GZIP_BUFFER_BYTES: usize = 64 << 10;

/// A file's name in the eyes of the system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub(crate) struct FileKey {
    /// The device.
    pub(crate) device: u64,
    /// The inode.
    pub(crate) inode: u64,
    /// When it was made, in nanoseconds since the epoch; 0 where the file system does not say.
    pub(crate) born: i64,
}

impl FileKey {
    /// From what the system says of a file.
    pub(crate) fn of(metadata: &Metadata) -> Self {
        let born = metadata.created().ok().and_then(nanos).unwrap_or(0);
        Self { device: metadata.dev(), inode: metadata.ino(), born }
    }
}

/// A system time in nanoseconds since the epoch.
pub(crate) fn nanos(time: std::time::SystemTime) -> Option<i64> {
    i64::try_from(time.duration_since(std::time::UNIX_EPOCH).ok()?.as_nanos()).ok()
}

/// When a file was last written to, in nanoseconds since the epoch.
pub(crate) fn modified(metadata: &Metadata) -> i64 {
    metadata.mtime().saturating_mul(1_000_000_000).saturating_add(metadata.mtime_nsec())
}

/// A file's first bytes, without the zeros that it begins with.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Head {
    /// How many zeros.
    pub(crate) hole: u64,
    /// What is behind them.
    pub(crate) bytes: Vec<u8>,
}

/// Opens a log for reading. Its time of access stays as it is, where that is allowed (to its owner and to root): each read after a write would
/// write the inode back otherwise.
///
/// # Errors
/// What the system says.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    let flags = rustix::fs::OFlags::NOATIME.bits();
    let quiet = File::options().read(true).custom_flags(flags.cast_signed()).open(path);
    match quiet {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => File::open(path),
        opened => opened,
    }
}

/// The hash of a file's first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Start {
    /// How many zeros are before them.
    #[serde(default)]
    pub(crate) hole: u64,
    /// Of how many.
    pub(crate) bytes: u32,
    /// XXH3.
    pub(crate) hash: u64,
}

impl Start {
    /// Of a file whose first bytes are these, [`START_BYTES`] of them at most.
    pub(crate) fn of(head: &Head) -> Self {
        let bytes = &head.bytes[..head.bytes.len().min(START_BYTES)];
        Self { hole: head.hole, bytes: bytes.len() as u32, hash: xxh3_64(bytes) }
    }

    /// Whether a file that starts with `head` is this one, perhaps grown. `None` when `head` is too short to say.
    pub(crate) fn is_of(&self, head: &Head) -> Option<bool> {
        let bytes = head.bytes.get(..self.bytes as usize)?;
        Some(head.hole == self.hole && self.is_hash_of(bytes))
    }

    /// Whether these are the bytes behind the hole.
    pub(crate) fn is_hash_of(&self, bytes: &[u8]) -> bool {
        self.bytes > 0 && bytes.len() == self.bytes as usize && xxh3_64(bytes) == self.hash
    }
}

/// The bytes of a file, decompressed.
#[derive(Debug)]
pub(crate) enum Source {
    /// As they are.
    Plain(File),
    /// Inflated.
    Gzip(Box<Gzip>),
}

/// A gzip file being read.
#[derive(Debug)]
pub(crate) struct Gzip {
    file: File,
    inflate: MultiGzDecoder<BufReader<File>>,
    /// How many bytes came out.
    at: u64,
    /// The last of them, when the reader gave them back.
    kept: Vec<u8>,
    /// A read failed: the decoder does not go on from there, also when the file does.
    is_broken: bool,
    /// It is damaged, and what is before the damage is wanted.
    is_salvaged: bool,
}

impl Source {
    /// Tells by the first bytes what it is. An empty file may still become either: ask again.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(crate) fn new(file: File) -> io::Result<Self> {
        let mut magic = [0u8; 2];
        let count = file.read_at(&mut magic, 0)?;
        if count == 2 && magic == [0x1f, 0x8b] {
            return Ok(Self::Gzip(Box::new(Gzip::new(file)?)));
        }
        Ok(Self::Plain(file))
    }

    /// The open file.
    pub(crate) fn file(&self) -> &File {
        match self {
            Self::Plain(file) => file,
            Self::Gzip(gzip) => &gzip.file,
        }
    }

    /// The open file alone.
    pub(crate) fn into_file(self) -> File {
        match self {
            Self::Plain(file) => file,
            Self::Gzip(gzip) => gzip.file,
        }
    }

    /// Whether it is compressed: then it does not grow.
    pub(crate) fn is_gzip(&self) -> bool {
        matches!(self, Self::Gzip(_))
    }

    /// Fills `buffer` from `offset` of the decompressed bytes. Fewer bytes mean that the file ends there for now.
    ///
    /// # Errors
    /// `UnexpectedEof` when a gzip file is not complete (yet), `InvalidInput` or `InvalidData` when it is damaged.
    pub(crate) fn read(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(file) => read_full(file, offset, buffer),
            Self::Gzip(gzip) => gzip.read(offset, buffer),
        }
    }

    /// How many decompressed bytes there are, as far as that is known without reading them: a gzip file says it in its last four bytes.
    pub(crate) fn size(&self) -> u64 {
        let len = self.file().metadata().map_or(0, |metadata| metadata.len());
        match self {
            Self::Plain(_) => len,
            // No byte of deflate says more than that; a trailer that does is none.
            Self::Gzip(gzip) => {
                let mut bytes = [0; 4];
                let end = len.saturating_sub(4);
                let is_read = gzip.file.read_exact_at(&mut bytes, end).is_ok();
                // Modulo 2^32, and of the last member: for what is larger it says less, never more.
                let size = u64::from(u32::from_le_bytes(bytes));
                if is_read && size <= len.saturating_mul(DEFLATE_RATIO) { size } else { 0 }
            }
        }
    }

    /// From now on a read of a damaged gzip file gives what is before the damage, and fails only when that is nothing.
    /// Returns whether that is new.
    pub(crate) fn salvage(&mut self) -> bool {
        match self {
            Self::Plain(_) => false,
            Self::Gzip(gzip) => !std::mem::replace(&mut gzip.is_salvaged, true),
        }
    }

    /// Whether a short read means damage, not the end.
    pub(crate) fn is_salvaged(&self) -> bool {
        matches!(self, Self::Gzip(gzip) if gzip.is_salvaged)
    }

    /// Gives back the last bytes of the last read, which will be read again.
    pub(crate) fn keep(&mut self, tail: &[u8]) {
        if let Self::Gzip(gzip) = self {
            gzip.kept.clear();
            gzip.kept.extend_from_slice(tail);
        }
    }

    /// The first bytes, `limit` at most. A gzip file that is cut short gives what it has.
    ///
    /// # Errors
    /// When the file cannot be read, or not one byte can be inflated.
    pub(crate) fn head(&mut self, limit: usize) -> io::Result<Head> {
        let mut bytes = vec![0; limit];
        let (hole, count) = match self {
            Self::Plain(file) => {
                let count = read_full(file, 0, &mut bytes)?;
                match bytes[..count].first() {
                    Some(0) => {
                        let hole = end_of_hole(file)?;
                        (hole, read_full(file, hole, &mut bytes)?)
                    }
                    _ => (0, count),
                }
            }
            Self::Gzip(gzip) => gzip.head(&mut bytes)?,
        };
        bytes.truncate(count);
        Ok(Head { hole, bytes })
    }
}

impl Gzip {
    fn new(file: File) -> io::Result<Self> {
        let inflate = inflate(&file)?;
        let (at, kept) = (0, Vec::new());
        Ok(Self { file, inflate, at, kept, is_broken: false, is_salvaged: false })
    }

    fn restart(&mut self) -> io::Result<()> {
        self.inflate = inflate(&self.file)?;
        self.at = 0;
        self.kept.clear();
        self.is_broken = false;
        Ok(())
    }

    /// How many zeros it begins with, and how many bytes behind them are in the buffer.
    fn head(&mut self, buffer: &mut [u8]) -> io::Result<(u64, usize)> {
        self.restart()?;
        let (mut hole, mut count) = (0, 0);
        while count < buffer.len() {
            match self.inflate.read(&mut buffer[count..]) {
                Ok(0) => break,
                Ok(more) if count == 0 => {
                    let zeros = leading_zeros(&buffer[..more]);
                    buffer.copy_within(zeros..more, 0);
                    hole += zeros as u64;
                    count = more - zeros;
                }
                Ok(more) => count += more,
                Err(_) if hole > 0 || count > 0 => break,
                Err(error) => return Err(error),
            }
        }
        self.restart()?;
        Ok((hole, count))
    }

    /// Fills the buffer, or fails: a short count means that the file is whole, and ends there.
    fn read(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let kept_from = self.at - self.kept.len() as u64;
        if offset < kept_from || self.is_broken {
            self.restart()?;
        }
        self.fill(offset, buffer).inspect_err(|_| self.is_broken = true)
    }

    fn fill(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.skip_to(offset, buffer)?;
        let mut count = self.kept.len().min(buffer.len());
        buffer[..count].copy_from_slice(&self.kept[..count]);
        self.kept.drain(..count);
        while count < buffer.len() {
            // Single bytes before a damage: the decoder gives nothing of a piece in which it fails.
            let end = if self.is_salvaged { count + 1 } else { buffer.len() };
            let more = match self.inflate.read(&mut buffer[count..end]) {
                Err(_) if self.is_salvaged && count > 0 => {
                    self.is_broken = true;
                    break;
                }
                more => more?,
            };
            self.at += more as u64;
            count += more;
            if more == 0 {
                // It is whole, by now.
                self.is_salvaged = false;
                break;
            }
        }
        Ok(count)
    }

    /// Drops bytes until the next one is at `offset`.
    fn skip_to(&mut self, offset: u64, scratch: &mut [u8]) -> io::Result<()> {
        let mut next = self.at - self.kept.len() as u64;
        let from_kept = (offset.saturating_sub(next) as usize).min(self.kept.len());
        self.kept.drain(..from_kept);
        next += from_kept as u64;
        while next < offset {
            let want = (offset - next).min(scratch.len() as u64) as usize;
            let count = self.inflate.read(&mut scratch[..want])?;
            if count == 0 {
                break;
            }
            self.at += count as u64;
            next += count as u64;
        }
        Ok(())
    }
}

fn inflate(file: &File) -> io::Result<MultiGzDecoder<BufReader<File>>> {
    // The copy shares the cursor, which nobody else uses.
    let mut file = file.try_clone()?;
    file.seek(SeekFrom::Start(0))?;
    Ok(MultiGzDecoder::new(BufReader::with_capacity(GZIP_BUFFER_BYTES, file)))
}

fn read_full(file: &File, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
    let mut count = 0;
    while count < buffer.len() {
        match file.read_at(&mut buffer[count..], offset + count as u64) {
            Ok(0) => break,
            Ok(more) => count += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(count)
}

/// Where the zeros end that a file begins with: at its end, when there is nothing else in it.
fn end_of_hole(file: &File) -> io::Result<u64> {
    let mut buffer = vec![0; SCAN_BYTES];
    let mut at = 0;
    loop {
        // Where the file system knows the hole, it is not read. Nobody else uses the cursor of a plain file.
        match rustix::fs::seek(file, rustix::fs::SeekFrom::Data(at)) {
            Ok(data) => at = at.max(data),
            Err(rustix::io::Errno::NXIO) => return Ok(at.max(file.metadata()?.len())),
            Err(_) => {}
        }
        let count = read_full(file, at, &mut buffer)?;
        let zeros = leading_zeros(&buffer[..count]);
        at += zeros as u64;
        if zeros < count || count == 0 {
            return Ok(at);
        }
    }
}

fn leading_zeros(bytes: &[u8]) -> usize {
    // A block at a time, without a branch for each byte.
    const BLOCK: usize = 256;
    let is_zero = |block: &&[u8]| block.iter().fold(0, |all, byte| all | byte) == 0;
    let blocks = bytes.chunks(BLOCK).take_while(is_zero).map(<[u8]>::len).sum::<usize>();
    blocks + bytes[blocks..].iter().take_while(|byte| **byte == 0).count()
}

/// The last bytes that were read of a file, to tell on the next read whether the file was rewritten in between.
///
/// They are read again together with what follows, in one call, so there is no moment between the check and the use.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Guard {
    bytes: [u8; GUARD_BYTES],
    len: u8,
}

const GUARD_BYTES: usize = 32;

impl Guard {
    /// After `chunk`, the last that was read.
    pub(crate) fn after(chunk: &[u8]) -> Self {
        let tail = &chunk[chunk.len().saturating_sub(GUARD_BYTES)..];
        let mut bytes = [0; GUARD_BYTES];
        bytes[..tail.len()].copy_from_slice(tail);
        Self { bytes, len: tail.len() as u8 }
    }

    /// How many bytes before the next offset it knows.
    pub(crate) fn len(&self) -> usize {
        self.len as usize
    }

    /// Whether what was read from [`Self::len`] bytes before starts with them.
    pub(crate) fn holds(&self, read: &[u8]) -> bool {
        read.starts_with(&self.bytes[..self.len()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn head(hole: u64, bytes: &[u8]) -> Head {
        Head { hole, bytes: bytes.to_vec() }
    }

    fn gzip(text: &[u8]) -> File {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text).unwrap();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&encoder.finish().unwrap()).unwrap();
        file
    }

    #[test]
    fn a_gzip_file_is_read_from_any_byte_and_given_back_bytes_come_again() {
        let text: Vec<u8> = (0..100_000u32).flat_map(|i| format!("{i}\n").into_bytes()).collect();
        let mut source = Source::new(gzip(&text)).unwrap();
        assert!(source.is_gzip());
        assert_eq!(source.head(1000).unwrap(), head(0, &text[..1000]));
        let mut buffer = vec![0; 4096];
        assert_eq!(source.read(77_777, &mut buffer).unwrap(), 4096);
        assert_eq!(buffer, &text[77_777..77_777 + 4096]);
        source.keep(&buffer[4000..]);
        assert_eq!(source.read(77_777 + 4000, &mut buffer).unwrap(), 4096);
        assert_eq!(buffer, &text[81_777..81_777 + 4096]);
        assert_eq!(source.read(5, &mut buffer).unwrap(), 4096);
        assert_eq!(buffer, &text[5..4101]);
        let end = text.len() as u64;
        assert_eq!(source.read(end - 10, &mut buffer).unwrap(), 10);
        assert_eq!(source.read(end, &mut buffer).unwrap(), 0);
        assert_eq!(source.size(), end);
    }

    #[test]
    fn a_gzip_file_that_is_still_written_says_so() {
        let whole = gzip(&b"line\n".repeat(10_000));
        let size = whole.metadata().unwrap().len();
        let mut packed = vec![0; size as usize];
        whole.read_exact_at(&mut packed, 0).unwrap();
        let copy = tempfile::tempfile().unwrap();
        let mut buffer = vec![0; 1 << 20];
        let mut source = None;
        for cut in [size / 3, size - 9, size - 1] {
            copy.write_all_at(&packed[..cut as usize], 0).unwrap();
            let source =
                source.get_or_insert_with(|| Source::new(copy.try_clone().unwrap()).unwrap());
            let error = source.read(0, &mut buffer).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof, "{cut}");
        }
        copy.write_all_at(&packed, 0).unwrap();
        assert_eq!(source.unwrap().read(0, &mut buffer).unwrap(), 50_000);
    }

    #[test]
    fn a_start_knows_its_grown_self() {
        let start = Start::of(&head(0, b"2026-11-21 one"));
        assert_eq!(start.is_of(&head(0, b"2026-11-21 one and more")), Some(true));
        assert_eq!(start.is_of(&head(0, b"2026-11-21 two and more")), Some(false));
        assert_eq!(start.is_of(&head(5, b"2026-11-21 one and more")), Some(false));
        assert_eq!(start.is_of(&head(0, b"2026")), None);
        assert_eq!(Start::of(&head(0, b"")).is_of(&head(0, b"x")), Some(false));
    }

    #[test]
    fn the_zeros_that_a_file_begins_with_are_no_part_of_its_head() {
        for hole in [1, 4095, 4096, 1_000_000] {
            let mut text = vec![0; hole];
            text.extend_from_slice(b"one\ntwo\n");
            let sparse = tempfile::tempfile().unwrap();
            sparse.write_all_at(b"one\ntwo\n", hole as u64).unwrap();
            let mut dense = tempfile::tempfile().unwrap();
            dense.write_all(&text).unwrap();
            for file in [sparse, dense, gzip(&text)] {
                let mut source = Source::new(file).unwrap();
                assert_eq!(source.head(6).unwrap(), head(hole as u64, b"one\ntw"));
                let mut buffer = [0; 100];
                assert_eq!(source.read(hole as u64 + 4, &mut buffer).unwrap(), 4);
                assert_eq!(&buffer[..4], b"two\n");
            }
        }
        let zeros = tempfile::tempfile().unwrap();
        zeros.set_len(9_999).unwrap();
        assert_eq!(Source::new(zeros).unwrap().head(10).unwrap(), head(9_999, b""));
    }

    #[test]
    fn of_a_damaged_gzip_file_every_byte_before_the_damage_can_be_had() {
        let text: Vec<u8> = (0..100_000u32).flat_map(|i| format!("{i}\n").into_bytes()).collect();
        let file = gzip(&text);
        let half = file.metadata().unwrap().len() / 2;
        file.write_all_at(&[0xff; 64], half).unwrap();
        let mut source = Source::new(file).unwrap();
        let mut buffer = vec![0; 1 << 20];
        let error = source.read(0, &mut buffer).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{error}");
        assert!(source.salvage());
        let count = source.read(0, &mut buffer).unwrap();
        let same = buffer.iter().zip(&text).take_while(|(a, b)| a == b).count();
        assert!(count >= same && same > text.len() / 3, "{same} of {count}");
        assert!(source.read(count as u64, &mut buffer).is_err());
        assert_eq!(source.size(), text.len() as u64);
    }
}
