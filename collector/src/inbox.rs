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

/// A listing that was not looked at yet is replaced, but the files that it brought stay open.
fn keep_open_files(earlier: Listing, listing: &mut Listing) {
    listing.at_start |= earlier.at_start;
    let mut vanished: Vec<Seen> = Vec::new();
    for old in earlier.files.into_iter().filter(|old| old.file.is_some()) {
        match listing.files.iter_mut().find(|new| new.key == old.key) {
            Some(new) => new.file = new.file.take().or(old.file),
            // Gone by now, but open: it was older than what is there.
            None => vanished.push(Seen { live: false, ..old }),
        }
    }
    listing.files.splice(0..0, vanished);
}

/// The inboxes of all threads; a stream belongs to one of them for good.
#[derive(Debug, Clone)]
pub(crate) struct Inboxes(pub(crate) Arc<[Arc<Inbox>]>);

impl Inboxes {
    /// Empty inboxes of `count` threads.
    pub(crate) fn new(count: usize) -> Self {
        Self((0..count).map(|_| Arc::default()).collect())
    }

    fn of(&self, stream: StreamId) -> &Inbox {
        let index = usize::from(stream.0[15]) % self.0.len();
        &self.0[index]
    }

    /// Bytes came to a stream.
    pub(crate) fn written(&self, stream: StreamId) {
        let inbox = self.of(stream);
        let mut guard = inbox.mail.lock().expect("no holder panics");
        if guard.0.written.insert(stream) {
            guard.1 = true;
            inbox.waiting.store(true, Ordering::Release);
            drop(guard);
            inbox.wake.notify_one();
        }
    }

    /// A chain's files changed.
    pub(crate) fn listed(&self, listing: Listing) {
        self.of(listing.chain.id).listed(listing);
    }
}
