//! The listeners: connections of TCP, each with its own reader; packets of UDP, all with one.
//!
//! A connection reads what has come, stores it, and only then reads on: many messages of a busy sender are one batch, and one of a
//! quiet one is stored at once. What the queue does not take is tried again until it does, or until the process stops; what is given up
//! then was already taken from the sender, and is counted as dropped.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rookery_core::{Error, Result, time};
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::Reader;
use super::frame::Framer;
use crate::door::Door;
use crate::draft::{Draft, Drafter, Limits};
use crate::stats::Event;

/// How much is read of a connection before it is stored.
const BATCH_BYTES: usize = 1 << 20;

/// How much is read at a time.
const READ_BYTES: usize = 64 << 10;

/// The largest packet that UDP has.
const PACKET_BYTES: usize = 65_535;

/// How long is waited before what the queue did not take is offered again; doubled up to the second one.
const RETRY: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(10));

/// Takes connections until `stop`, and then waits for what they sent to be stored.
pub(crate) async fn tcp(door: Door, listener: TcpListener, stop: CancellationToken) {
    let places = Arc::new(Semaphore::new(door.shared.config.syslog.connections));
    let mut open = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
            Some(_) = open.join_next(), if !open.is_empty() => continue,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection of syslog could not be accepted");
                tokio::time::sleep(RETRY.0).await;
                continue;
            }
        };
        door.count(Event::Requests, 1);
        if !door.shared.config.syslog.admits(peer.ip()) {
            door.count(Event::Unauthenticated, 1);
            continue;
        }
        let Ok(place) = places.clone().try_acquire_owned() else {
            door.count(Event::Throttled, 1);
            continue;
        };
        let (door, stop) = (door.clone(), stop.clone());
        open.spawn(async move {
            if let Err(error) = connection(&door, stream, peer.ip(), &stop).await {
                tracing::debug!(%peer, %error, "a connection of syslog ended");
            }
            drop(place);
        });
    }
    while open.join_next().await.is_some() {}
}

async fn connection(
    door: &Door,
    mut stream: TcpStream,
    peer: IpAddr,
    stop: &CancellationToken,
) -> Result<()> {
    let mut framer = Framer::default();
    let mut buffer = vec![0; READ_BYTES];
    loop {
        let mut read = tokio::select! {
            () = stop.cancelled() => 0,
            read = stream.read(&mut buffer) => {
                read.map_err(|e| Error::io("read a connection of syslog", e))?
            }
        };
        let end = read == 0;
        let mut gathered = Gathered::new(door);
        let mut bytes = 0;
        loop {
            bytes += read;
            framer.push(&buffer[..read]);
            gathered.take(door, &mut framer, peer, end)?;
            if end || bytes >= BATCH_BYTES {
                break;
            }
            read = match stream.try_read(&mut buffer) {
                // The end is seen again by the next read.
                Ok(0) | Err(_) => break,
                Ok(read) => read,
            };
        }
        door.count(Event::Bytes, bytes as u64);
        store(door, gathered.finish(door)?, stop).await;
        if end {
            return Ok(());
        }
    }
}

/// Records on their way into a batch.
struct Gathered {
    drafter: Drafter,
    reader: Reader,
}

impl Gathered {
    fn new(door: &Door) -> Self {
        let config = &door.shared.config;
        let owner = door.owner(config.syslog.tenant.clone(), "syslog");
        // A batch is bounded by its bytes.
        let limits = Limits { records: u64::MAX, ..config.limits() };
        Self { drafter: Drafter::new(owner, limits, time::now()), reader: Reader::default() }
    }

    fn take(&mut self, door: &Door, framer: &mut Framer, peer: IpAddr, end: bool) -> Result<()> {
        let limit = door.shared.config.line_limit.as_usize();
        while let Some((message, cut)) = framer.next(limit, end) {
            self.add(door, message, cut, peer)?;
        }
        Ok(())
    }

    fn add(&mut self, door: &Door, message: &[u8], cut: bool, peer: IpAddr) -> Result<()> {
        door.count(Event::Cut, cut.into());
        let zone = &door.shared.config.syslog.zone;
        self.reader.add(message, cut, peer, zone, &mut self.drafter)
    }

    fn finish(self, door: &Door) -> Result<Vec<Draft>> {
        let drafts = self.drafter.finish()?;
        door.count(Event::Refused, drafts.refused);
        Ok(drafts.drafts)
    }
}

/// Stores drafts, however often it takes.
async fn store(door: &Door, mut drafts: Vec<Draft>, stop: &CancellationToken) {
    let mut wait = RETRY.0;
    while !drafts.is_empty() {
        let tenant = door.shared.config.syslog.tenant.clone();
        let outcome = door.store_drafts(tenant, drafts.clone()).await;
        let settled = outcome.drafts.iter();
        drafts = std::mem::take(&mut drafts)
            .into_iter()
            .zip(settled)
            .filter(|(_, settled)| !settled.stored)
            .map(|(draft, _)| draft)
            .collect();
        if drafts.is_empty() {
            return;
        }
        let retryable = outcome.failed.as_ref().is_some_and(|error| error.kind().is_retryable());
        if !retryable || stop.is_cancelled() {
            let lost: usize = drafts.iter().map(|draft| draft.offsets.len()).sum();
            door.count(Event::Dropped, lost as u64);
            tracing::error!(lost, "messages of syslog are given up: the queue does not take them");
            return;
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(wait) => {}
        }
        wait = (wait * 2).min(RETRY.1);
    }
}

/// Takes packets until `stop`.
pub(crate) async fn udp(door: Door, socket: UdpSocket, stop: CancellationToken) {
    let (sender, receiver) = mpsc::channel(door.shared.config.syslog.packets_limit.max(1));
    let storing = tokio::spawn(packets(door.clone(), receiver, stop.clone()));
    let mut buffer = vec![0; PACKET_BYTES];
    loop {
        let received = tokio::select! {
            () = stop.cancelled() => break,
            received = socket.recv_from(&mut buffer) => received,
        };
        let Ok((length, peer)) = received else { continue };
        door.count(Event::Requests, 1);
        door.count(Event::Bytes, length as u64);
        if !door.shared.config.syslog.admits(peer.ip()) {
            door.count(Event::Unauthenticated, 1);
        } else if sender.try_send((buffer[..length].to_vec(), peer)).is_err() {
            door.count(Event::Dropped, 1);
        }
    }
    drop(sender);
    let _ = storing.await;
}

async fn packets(
    door: Door,
    mut receiver: mpsc::Receiver<(Vec<u8>, SocketAddr)>,
    stop: CancellationToken,
) {
    let limit = door.shared.config.line_limit.as_usize();
    let mut waiting = Vec::new();
    // As many as fit a batch at their usual size.
    while receiver.recv_many(&mut waiting, BATCH_BYTES / 256).await > 0 {
        let mut gathered = Gathered::new(&door);
        for (packet, peer) in waiting.drain(..) {
            let message = &packet[..packet.len().min(limit)];
            let cut = message.len() < packet.len();
            if let Err(error) = gathered.add(&door, message, cut, peer.ip()) {
                tracing::error!(%error, "a packet of syslog could not be read");
            }
        }
        match gathered.finish(&door) {
            Ok(drafts) => store(&door, drafts, &stop).await,
            Err(error) => tracing::error!(%error, "packets of syslog could not be read"),
        }
    }
}
