//! What a request of any protocol goes through: who it is from, its body, its records into the queue, and the queue's answer.
//!
//! A success is answered only when the queue has acknowledged every batch of the request, which means: the records are on disk. What
//! happens to a request is counted here, once.

use std::sync::Arc;

use axum::body::Body;
use axum::http::HeaderMap;
use rookery_core::queue::Receipt;
use rookery_core::units::Bytes as Size;
use rookery_core::{Error, Kind, Result, Tenant, time};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::ReceiverConfig;
use crate::access::Access;
use crate::body::{self, BodyLimits, Held, Memory, Packing};
use crate::draft::{Draft, Drafter, Drafts, Owner};
use crate::places::Places;
use crate::stats::{Event, Protocol, Stats};

/// What all ways in share.
pub(crate) struct Shared {
    pub(crate) config: ReceiverConfig,
    pub(crate) name: Arc<str>,
    pub(crate) access: Access,
    pub(crate) places: Places,
    pub(crate) stats: Arc<Stats>,
    pub(crate) memory: Arc<Memory>,
    pub(crate) turns: Arc<Semaphore>,
}

/// One way in for one protocol.
#[derive(Clone)]
pub(crate) struct Door {
    pub(crate) shared: Arc<Shared>,
    pub(crate) protocol: Protocol,
    /// Whether only this machine reaches it.
    pub(crate) loopback: bool,
}

/// A request that was let in: whose it is, its bytes, and its share of the limits.
pub(crate) struct Intake {
    pub(crate) tenant: Tenant,
    pub(crate) body: Vec<u8>,
    /// When it came.
    pub(crate) observed: i64,
    turn: Turn,
}

/// A share of the limits, for as long as a request is worked on.
struct Turn {
    _permit: OwnedSemaphorePermit,
    held: Held,
}

/// What became of the drafts of a request.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) drafts: Vec<Settled>,
    /// Why others are not.
    pub(crate) failed: Option<Error>,
}

/// What became of one draft: all of its records are safe, or it is not known of any.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settled {
    pub(crate) records: u64,
    pub(crate) stored: bool,
}

impl Outcome {
    /// How many records are safe.
    pub(crate) fn records(&self) -> u64 {
        self.drafts.iter().filter(|draft| draft.stored).map(|draft| draft.records).sum()
    }
}

impl Door {
    /// Lets a request in and reads its body. `packing` says how it is packed.
    ///
    /// # Errors
    /// When it may not, or is over a limit.
    pub(crate) async fn admit(
        &self,
        headers: &HeaderMap,
        body: Body,
        packing: Packing,
    ) -> Result<Intake> {
        let taken = self.take(headers, body, packing).await;
        self.count(Event::Requests, 1);
        taken.inspect_err(|error| self.count_failure(error))
    }

    /// Unpacks the body of a request that was read as it was.
    ///
    /// # Errors
    /// When it is not packed so, or over a limit.
    pub(crate) async fn unpack(&self, intake: Intake, packing: Packing) -> Result<Intake> {
        let unpacked = unpack(intake, packing, self.shared.config.request_limit).await;
        unpacked.inspect_err(|error| self.count_failure(error))
    }

    /// Whether a request that pushes nothing is let in.
    ///
    /// # Errors
    /// When it is not.
    pub(crate) fn knock(&self, headers: &HeaderMap) -> Result<()> {
        let admitted = self.shared.access.admit(headers, self.protocol, self.loopback);
        admitted.map(drop).inspect_err(|error| self.count_failure(error))
    }

    async fn take(&self, headers: &HeaderMap, body: Body, packing: Packing) -> Result<Intake> {
        let shared = &self.shared;
        let tenant = shared.access.admit(headers, self.protocol, self.loopback)?;
        let permit = shared.turns.clone().try_acquire_owned().map_err(|_| {
            Error::throttled(format!(
                "{} requests are worked on already: send this one again, or raise receiver.concurrency",
                shared.config.concurrency
            ))
        })?;
        let mut held = shared.memory.hold();
        let size = shared.config.request_limit;
        let limits = BodyLimits { size, arrival: shared.config.arrival_limit.0 };
        let observed = time::now();
        let raw = body::read(body, limits, &mut held).await?;
        self.count(Event::Bytes, raw.len() as u64);
        let intake = Intake { tenant, body: raw, observed, turn: Turn { _permit: permit, held } };
        if packing == Packing::None { Ok(intake) } else { unpack(intake, packing, size).await }
    }

    /// Makes a request's records with `decode` and stores them. What `decode` gives beside them comes back with the outcome.
    ///
    /// # Errors
    /// What `decode` says of the request as a whole: nothing is stored then.
    pub(crate) async fn store<T: Send + 'static>(
        &self,
        intake: Intake,
        source: &'static str,
        decode: impl FnOnce(&[u8], &mut Drafter) -> Result<T> + Send + 'static,
    ) -> Result<(T, Drafts, Outcome)> {
        let owner = self.owner(intake.tenant.clone(), source);
        let mut drafter = Drafter::new(owner, self.shared.config.limits(), intake.observed);
        if self.protocol == Protocol::Elasticsearch {
            drafter.remember_all_refusals();
        }
        let Intake { tenant, body, turn, .. } = intake;
        // Parsing is work for a core, not for the thread that serves connections.
        let decoded = blocking(move || {
            let beside = decode(&body, &mut drafter)?;
            Ok((beside, drafter.finish()?))
        });
        let (beside, mut drafts) = decoded.await.inspect_err(|error| self.count_failure(error))?;
        self.count(Event::Refused, drafts.refused);
        let outcome = self.send(tenant, std::mem::take(&mut drafts.drafts), turn).await;
        Ok((beside, drafts, outcome))
    }

    /// Whose streams these are: of this process, and of this protocol.
    pub(crate) fn owner(&self, tenant: Tenant, source: &'static str) -> Owner {
        // What was pushed as JSON lines before there were other ways has no name of its protocol.
        let way = if self.protocol == Protocol::Jsonline { "push" } else { self.protocol.name() };
        Owner { tenant, identity: vec![way.into(), self.shared.name.clone()], source }
    }

    /// Puts drafts into the queue, and waits until it has answered for all of them or the time is up.
    ///
    /// A client that goes away, or a time that is up, does not tear a request apart: the work goes on, and holds its share of the limits.
    async fn send(&self, tenant: Tenant, drafts: Vec<Draft>, turn: Turn) -> Outcome {
        let shared = self.shared.clone();
        let unsettled =
            |draft: &Draft| Settled { records: draft.offsets.len() as u64, stored: false };
        let unsettled: Vec<Settled> = drafts.iter().map(unsettled).collect();
        let work = tokio::spawn(async move {
            let outcome = send_all(&shared.places, &tenant, drafts).await;
            drop(turn);
            outcome
        });
        let limit = self.shared.config.store_limit.0;
        let failed = |error| Outcome { drafts: unsettled, failed: Some(error) };
        let outcome = match tokio::time::timeout(limit, work).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(panic)) => failed(Error::internal("storing a request failed").because(panic)),
            Err(_) => failed(Error::timeout(format!(
                "not stored within {limit:?} (receiver.store_limit); it may still be, so that sending it again may store it twice"
            ))),
        };
        self.count(Event::Records, outcome.records());
        if let Some(error) = &outcome.failed {
            self.count_failure(error);
        }
        outcome
    }

    pub(crate) fn count(&self, event: Event, count: u64) {
        self.shared.stats.add(self.protocol, event, count);
    }

    fn count_failure(&self, error: &Error) {
        let event = match error.kind() {
            Kind::Unauthenticated | Kind::Forbidden => Event::Unauthenticated,
            Kind::Throttled => Event::Throttled,
            Kind::TooLarge => Event::TooLarge,
            Kind::Invalid => return,
            _ => Event::Failed,
        };
        self.count(event, 1);
        if event as usize == Event::Failed as usize {
            tracing::warn!(protocol = self.protocol.name(), %error, "a push failed");
        }
    }

    /// Stores what a listener has gathered, for a protocol without requests.
    pub(crate) async fn store_drafts(&self, tenant: Tenant, drafts: Vec<Draft>) -> Outcome {
        let outcome = send_all(&self.shared.places, &tenant, drafts).await;
        self.count(Event::Records, outcome.records());
        if let Some(error) = &outcome.failed {
            self.count_failure(error);
        }
        outcome
    }
}

async fn unpack(intake: Intake, packing: Packing, size: Size) -> Result<Intake> {
    blocking(move || {
        let Intake { tenant, body, observed, mut turn } = intake;
        let body = body::unpack(body, packing, size, &mut turn.held)?;
        Ok(Intake { tenant, body, observed, turn })
    })
    .await
}

async fn send_all(places: &Places, tenant: &Tenant, drafts: Vec<Draft>) -> Outcome {
    let mut failed = None;
    let mut sent: Vec<(u64, Option<Receipt>)> = Vec::with_capacity(drafts.len());
    for draft in drafts {
        let records = draft.offsets.len() as u64;
        // After one that the queue did not take, none of the request goes in: it is sent again from there.
        let receipt = match &failed {
            None => places.send(tenant, draft).await.map_err(|error| failed = Some(error)).ok(),
            Some(_) => None,
        };
        sent.push((records, receipt));
    }
    let mut settled = Vec::with_capacity(sent.len());
    for (records, receipt) in sent {
        let stored = match receipt {
            Some(receipt) => receipt.wait().await.map_err(|error| failed = Some(error)).is_ok(),
            None => false,
        };
        settled.push(Settled { records, stored });
    }
    Outcome { drafts: settled, failed }
}

/// Runs what takes a core for long away from the threads that serve connections.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|e| Error::internal("reading a request failed").because(e))?
}
