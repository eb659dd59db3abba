//! What happens to a fleet.

use std::fmt;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::pause;
use crate::faults::disk::ReadOnly;
use crate::kit::fleet::{Fleet, Member, SESSION_SECONDS, WAY_OF_COLLECTORS, WAY_OF_INGESTERS};
use crate::kit::proxy::{Direction, Proxy};

/// How long what was killed or stopped is down.
const DOWN: Duration = Duration::from_secs(2);

/// A process of a fleet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// A collector.
    Collector,
    /// A broker.
    Broker,
    /// The ClickHouse engine.
    Store,
    /// An ingester.
    Ingester,
    /// A query process.
    Query,
}

/// Two that talk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pair {
    /// Collectors and brokers.
    CollectorBroker,
    /// Ingesters and brokers.
    IngesterBroker,
    /// Ingesters and the engine.
    IngesterStore,
    /// Queries and the engine.
    QueryStore,
}

/// Something that happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Nothing: what the others are compared with.
    Nothing,
    /// `kill -9`, and a start after a moment.
    Kill(Target),
    /// A graceful stop, and a start after a moment.
    Restart(Target),
    /// SIGSTOP for so long, then SIGCONT.
    Pause(Target, Duration),
    /// Killed for so long, then started.
    Outage(Target, Duration),
    /// The connections are reset, and new ones too, for so long.
    Cut(Pair, Duration),
    /// Connections stay open and nothing passes, for so long.
    Hold(Pair, Duration),
    /// Each connection passes so many bytes a second, for so long.
    Narrow(Pair, u64, Duration),
    /// The engine runs only a part of the time, for so long: every call of it is slow.
    SlowStore(Duration),
    /// The engine cannot write to its disk for so long.
    ReadOnlyStore(Duration),
    /// Ingesters come and go, so often.
    Rebalances(u32),
    /// The topic gets so many partitions, under load.
    Grow(i32),
    /// A broker is killed and has lost the last so many batches of its log when it comes back.
    LosesLog(usize),
}

impl Target {
    fn name(self) -> &'static str {
        match self {
            Self::Collector => "collector",
            Self::Broker => "broker",
            Self::Store => "ClickHouse engine",
            Self::Ingester => "ingester",
            Self::Query => "query",
        }
    }
}

impl Pair {
    fn name(self) -> &'static str {
        match self {
            Self::CollectorBroker => "collectors and brokers",
            Self::IngesterBroker => "ingesters and brokers",
            Self::IngesterStore => "ingesters and engine",
            Self::QueryStore => "queries and engine",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => write!(f, "nothing"),
            Self::Kill(target) => write!(f, "{}: kill -9", target.name()),
            Self::Restart(target) => write!(f, "{}: restarted", target.name()),
            Self::Pause(target, time) => write!(f, "{}: paused for {time:?}", target.name()),
            Self::Outage(target, time) => write!(f, "{}: away for {time:?}", target.name()),
            Self::Cut(pair, time) => write!(f, "network cut between {} for {time:?}", pair.name()),
            Self::Hold(pair, time) => {
                write!(f, "network swallows all between {} for {time:?}", pair.name())
            }
            Self::Narrow(pair, bytes, time) => {
                write!(f, "{} kB/s between {} for {time:?}", bytes / 1000, pair.name())
            }
            Self::SlowStore(time) => write!(f, "ClickHouse engine: slow for {time:?}"),
            Self::ReadOnlyStore(time) => {
                write!(f, "ClickHouse engine: disk read-only for {time:?}")
            }
            Self::Rebalances(times) => write!(f, "ingesters come and go, {times} times"),
            Self::Grow(partitions) => write!(f, "topic grows to {partitions} partitions"),
            Self::LosesLog(batches) => {
                write!(f, "broker: loses the last {batches} batches of its log")
            }
        }
    }
}

impl Fault {
    /// All that a fleet with one broker is to survive. Pauses and outages take `long`.
    pub fn all(long: Duration) -> Vec<Self> {
        let mut all = vec![Self::Nothing];
        let targets =
            [Target::Collector, Target::Broker, Target::Store, Target::Ingester, Target::Query];
        all.extend(targets.map(Self::Kill));
        all.extend(targets.map(Self::Restart));
        all.extend(targets.map(|target| Self::Pause(target, long)));
        all.extend([Self::Outage(Target::Broker, long), Self::Outage(Target::Store, long)]);
        let pairs =
            [Pair::CollectorBroker, Pair::IngesterBroker, Pair::IngesterStore, Pair::QueryStore];
        let short = Duration::from_secs(SESSION_SECONDS + 3);
        all.extend(pairs.map(|pair| Self::Cut(pair, short)));
        all.extend(pairs.map(|pair| Self::Hold(pair, short)));
        all.push(Self::Narrow(Pair::CollectorBroker, 20_000, short));
        all.push(Self::SlowStore(short));
        all.push(Self::ReadOnlyStore(short));
        all.push(Self::Rebalances(5));
        all.push(Self::Grow(7));
        all
    }

    /// Whether lines may be given up, as long as the ledger says so.
    pub fn may_lose(&self) -> bool {
        matches!(self, Self::LosesLog(_))
    }

    /// Lets it happen; returns when it is over.
    ///
    /// # Errors
    /// When it cannot be done.
    pub fn happen(&self, fleet: &mut Fleet) -> Result<()> {
        match self {
            Self::Nothing => {}
            Self::Kill(target) => away(fleet, *target, DOWN)?,
            Self::Outage(target, time) => away(fleet, *target, *time)?,
            Self::Restart(target) => restart(fleet, *target)?,
            Self::Pause(target, time) => {
                paused(fleet, *target, true)?;
                pause(*time);
                paused(fleet, *target, false)?;
            }
            Self::Cut(pair, time) => on_each(fleet, *pair, *time, Proxy::cut)?,
            Self::Hold(pair, time) => {
                on_each(fleet, *pair, *time, |proxy| proxy.hold(Direction::Both))?;
            }
            Self::Narrow(pair, bytes, time) => {
                on_each(fleet, *pair, *time, |proxy| proxy.limit(Direction::Both, *bytes))?;
            }
            Self::SlowStore(time) => slow_store(fleet, *time)?,
            Self::ReadOnlyStore(time) => {
                let disk = ReadOnly::mount(&fleet.clickhouse.folder()?)?;
                pause(*time);
                drop(disk);
            }
            Self::Rebalances(times) => rebalances(fleet, *times)?,
            Self::Grow(partitions) => fleet.kafka.grow(&fleet.topic, *partitions)?,
            Self::LosesLog(batches) => {
                fleet.kafka.kill(0)?;
                fleet.kafka.lose_log(0, &fleet.topic, *batches)?;
                fleet.kafka.restart(0)?;
            }
        }
        Ok(())
    }
}

fn member(fleet: &mut Fleet, target: Target) -> Result<&mut Member> {
    let members = match target {
        Target::Collector => &mut fleet.collectors,
        Target::Ingester => &mut fleet.ingesters,
        Target::Query => &mut fleet.queries,
        Target::Broker | Target::Store => bail!("the {} is not a role", target.name()),
    };
    members.first_mut().with_context(|| format!("the fleet has no {}", target.name()))
}

fn away(fleet: &mut Fleet, target: Target, time: Duration) -> Result<()> {
    match target {
        Target::Broker => fleet.kafka.kill(0)?,
        Target::Store => fleet.clickhouse.kill()?,
        _ => member(fleet, target)?.kill()?,
    }
    pause(time);
    back(fleet, target)
}

fn restart(fleet: &mut Fleet, target: Target) -> Result<()> {
    match target {
        Target::Broker => fleet.kafka.stop(0)?,
        Target::Store => fleet.clickhouse.stop()?,
        _ => member(fleet, target)?.stop()?,
    }
    pause(DOWN);
    back(fleet, target)
}

fn back(fleet: &mut Fleet, target: Target) -> Result<()> {
    match target {
        Target::Broker => fleet.kafka.restart(0),
        Target::Store => fleet.clickhouse.restart(),
        _ => member(fleet, target)?.start(),
    }
}

fn paused(fleet: &mut Fleet, target: Target, is_paused: bool) -> Result<()> {
    match (target, is_paused) {
        (Target::Broker, true) => fleet.kafka.pause(0),
        (Target::Broker, false) => fleet.kafka.resume(0),
        (Target::Store, true) => fleet.clickhouse.pause(),
        (Target::Store, false) => fleet.clickhouse.resume(),
        (_, true) => member(fleet, target)?.running()?.pause(),
        (_, false) => member(fleet, target)?.running()?.resume(),
    }
}

fn on_each(fleet: &Fleet, pair: Pair, time: Duration, fault: impl Fn(&Proxy)) -> Result<()> {
    let way = |way| -> Result<Vec<&Proxy>> {
        (0..fleet.kafka.len()).map(|broker| fleet.kafka.proxy(broker, way)).collect()
    };
    let proxies = match pair {
        Pair::CollectorBroker => way(WAY_OF_COLLECTORS)?,
        Pair::IngesterBroker => way(WAY_OF_INGESTERS)?,
        Pair::IngesterStore => vec![&fleet.to_store],
        Pair::QueryStore => vec![&fleet.from_store],
    };
    proxies.iter().for_each(|proxy| fault(proxy));
    pause(time);
    proxies.iter().for_each(|proxy| proxy.pass());
    Ok(())
}

/// The engine runs for a fifth of the time.
fn slow_store(fleet: &Fleet, time: Duration) -> Result<()> {
    let (run, stop) = (Duration::from_millis(100), Duration::from_millis(400));
    for _ in 0..time.as_millis() / (run + stop).as_millis() {
        fleet.clickhouse.pause()?;
        pause(stop);
        fleet.clickhouse.resume()?;
        pause(run);
    }
    Ok(())
}

/// Ingesters are killed and started in turn, faster than the group settles.
fn rebalances(fleet: &mut Fleet, times: u32) -> Result<()> {
    for index in 0..times as usize {
        let count = fleet.ingesters.len();
        let ingester = &mut fleet.ingesters[index % count];
        if index % 2 == 0 {
            ingester.kill()?;
        } else {
            ingester.stop()?;
        }
        pause(Duration::from_millis(500));
        ingester.start()?;
        pause(DOWN);
    }
    Ok(())
}
