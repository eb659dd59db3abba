//! What the finder, the shipper and the owner tell a tailing thread.
//!
//! Not a channel: what is told twice is kept once, so it is bounded by the number of streams, and nobody who tells ever waits.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use rookery_core::StreamId;
use rookery_core::batch::Range;

use crate::chain::{Listing, Seen};

/// What was told since the last look.
#[derive(Debug, Default)]
pub(crate) struct Mail {
    /// Chains whose files changed.
    pub(crate) listings: HashMap<StreamId, Listing>,
    /// Streams to which bytes came.
    pub(crate) written: HashSet<StreamId>,
    /// Ranges of batches that are safe, in the order in which they were shipped.
    pub(crate) safe: Vec<Range>,
    /// Whether to ship what was read, and end.
    pub(crate) drain: bool,
    /// Whether all that was shipped is safe, and no more will be.
    pub(crate) shipped: bool,
    /// Whether to end at once.
    pub(crate) abandon: bool,
}

/// One thread's inbox.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    mail: Mutex<(Mail, bool)>,
    wake: Condvar,
    waiting: AtomicBool,
}

impl Inbox {
    fn tell(&self, put: impl FnOnce(&mut Mail)) {
        let mut guard = self.mail.lock().expect("no holder panics");
        put(&mut guard.0);
        guard.1 = true;
        self.waiting.store(true, Ordering::Release);
        drop(guard);
        self.wake.notify_one();
    }

    /// Whether there is mail, without taking it.
    pub(crate) fn has_mail(&self) -> bool {
        self.waiting.load(Ordering::Acquire)
    }

    /// Takes the mail, after a wait of at most `limit` for it.
    pub(crate) fn take(&self, limit: Duration) -> Mail {
        let guard = self.mail.lock().expect("no holder panics");
        let (mut guard, _) = self
            .wake
            .wait_timeout_while(guard, limit, |(_, told)| !*told)
            .expect("no holder panics");
        guard.1 = false;
        self.waiting.store(false, Ordering::Release);
        std::mem::take(&mut guard.0)
    }

    /// There is room for another batch, or something else to look at.
    pub(crate) fn nudge(&self) {
        self.tell(|_| {});
    }

    /// These ranges are safe.
    pub(crate) fn safe(&self, ranges: Vec<Range>) {
        self.tell(|mail| mail.safe.extend(ranges));
    }

    /// Ship what was read, and end.
    pub(crate) fn drain(&self) {
        self.tell(|mail| mail.drain = true);
    }

    /// All that was shipped is safe.
    pub(crate) fn shipped(&self) {
        self.tell(|mail| mail.shipped = true);
    }

    /// End at once.
    pub(crate) fn abandon(&self) {
        self.tell(|mail| mail.abandon = true);
    }

    fn listed(&self, mut listing: Listing) {
        self.tell(|mail| {
            if let Some(earlier) = mail.listings.remove(&listing.chain.id) {
                keep_open_files(earlier, &mut listing);
            }
            mail.listings.insert(listing.chain.id, listing);
        });
    }
}

/// A listing that was not looked at yet is replaced, but the files that it brought stay open, in their order.
fn keep_open_files(earlier: Listing, listing: &mut Listing) {
    listing.at_start |= earlier.at_start;
    let mut after = 0;
    for old in earlier.files {
        let place = listing.files.iter().position(|new| new.key == old.key);
        match place {
            Some(place) => {
                let new = &mut listing.files[place];
                new.file = new.file.take().or(old.file);
                after = place + 1;
            }
            // Gone by now, but open.
            None if old.file.is_some() => {
                listing.files.insert(after, Seen { live: false, hint: old.hint.left(), ..old });
                after += 1;
            }
            None => {}
        }
    }
}

/// The inboxes of all threads; a stream belongs to one of them for good.
#[derive(Debug, Clone)]
pub(crate) struct Inboxes(pub(crate) Arc<[Arc<Inbox>]>);

impl Inboxes {
    /// Empty inboxes of `count` threads.
    pub(crate) fn new(count: usize) -> Self {
        Self((0..count).map(|_| Arc::default()).collect())
    }

    fn index_of(&self, stream: StreamId) -> usize {
        usize::from(stream.0[15]) % self.0.len()
    }

    /// Bytes came to streams. Each thread is woken once at most.
    pub(crate) fn written(&self, streams: &[StreamId]) {
        for (index, inbox) in self.0.iter().enumerate() {
            let mut own = streams.iter().filter(|id| self.index_of(**id) == index).peekable();
            if own.peek().is_some() {
                inbox.tell(|mail| mail.written.extend(own));
            }
        }
    }

    /// A chain's files changed.
    pub(crate) fn listed(&self, listing: Listing) {
        self.0[self.index_of(listing.chain.id)].listed(listing);
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::chain::Rules;
    use crate::config::CollectorConfig;
    use crate::names::{Hint, PodPath};
    use crate::source::FileKey;

    fn listing(files: &[(u64, bool)]) -> Listing {
        let rules = Rules::new(&CollectorConfig::default()).unwrap();
        let pod = PodPath::new("n_p_u", "c").unwrap();
        let chain = Arc::new(rules.pod_chain(Path::new("/pods/n_p_u/c"), &pod));
        let seen = |(inode, fresh): &(u64, bool)| Seen {
            path: Path::new("/x").into(),
            hint: Hint::default(),
            key: FileKey { inode: *inode, ..FileKey::default() },
            size: 0,
            file: fresh.then(|| tempfile::tempfile().unwrap()),
            live: false,
        };
        let files = files.iter().map(seen).collect();
        Listing { chain, files, sequence: 0, at_start: false }
    }

    #[test]
    fn a_file_that_vanished_before_anybody_looked_keeps_its_place_and_stays_open() {
        let inboxes = Inboxes::new(1);
        inboxes.listed(listing(&[(1, false), (2, true), (3, true)]));
        inboxes.listed(listing(&[(1, false), (3, false), (4, true)]));
        let mail = inboxes.0[0].take(Duration::ZERO);
        let listing = mail.listings.into_values().next().unwrap();
        let seen: Vec<_> = listing.files.iter().map(|f| (f.key.inode, f.file.is_some())).collect();
        assert_eq!(seen, [(1, false), (2, true), (3, true), (4, true)]);
    }
}
