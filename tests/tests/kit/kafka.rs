//! Real brokers, and what is done to them.

use std::time::Duration;

use anyhow::{Context as _, Result};
use rookery_tests::kit::kafka::{Kafka, Record, Setup};
use rookery_tests::kit::proxy::Direction;
use rookery_tests::kit::wait;

/// How long a broker may take to notice that another is gone.
const LIMIT: Duration = Duration::from_secs(60);

#[test]
fn topics_are_made_written_grown_and_removed() -> Result<()> {
    let kafka = Kafka::shared()?;
    let topic = kafka.topic("grown", 2, &[("retention.ms", "60000000")])?;
    assert_eq!(kafka.leaders(&topic)?.len(), 2);
    assert!(kafka.create(&topic, 1, &[]).is_err(), "it exists");
    let headers = vec![("reason".to_owned(), b"none".to_vec())];
    let record = Record { key: Some(b"k".to_vec()), value: b"not for us".to_vec(), headers };
    assert_eq!(kafka.produce(&topic, 1, &[record, Record::of("two")])?, 0);
    assert_eq!((kafka.end(&topic, 0)?, kafka.end(&topic, 1)?), (0, 2));
    kafka.grow(&topic, 5)?;
    assert_eq!(kafka.leaders(&topic)?.len(), 5);
    kafka.delete(&topic)?;
    kafka.create(&topic, 2, &[])?;
    assert_eq!(kafka.end(&topic, 1)?, 0);
    Ok(())
}

/// All on one broker, because a start costs seconds.
#[test]
fn a_broker_is_paused_cut_off_killed_brought_back_and_loses_its_log() -> Result<()> {
    let kafka = Setup::brokers(1).proxies(1).start()?;
    let topic = kafka.topic("kept", 1, &[])?;
    for word in ["one", "two", "three"] {
        kafka.produce(&topic, 0, &[Record::of(word), Record::of(word)])?;
    }
    kafka.pause(0)?;
    assert!(kafka.leaders(&topic).is_err());
    kafka.resume(0)?;
    assert_eq!(kafka.leaders(&topic)?, [Some(0)]);

    // A client that comes through the proxy is told the proxy's address, and not that of the broker.
    let way = kafka.other(&kafka.through(0)?);
    assert_eq!(way.end(&topic, 0)?, 6);
    let passed = kafka.proxy(0, 0)?.passed(Direction::ToServer);
    way.produce(&topic, 0, &[Record::of("four")])?;
    assert!(kafka.proxy(0, 0)?.passed(Direction::ToServer) > passed);
    kafka.proxy(0, 0)?.cut();
    assert!(way.end(&topic, 0).is_err());
    assert_eq!(kafka.end(&topic, 0)?, 7);

    let id = kafka.id(0)?;
    kafka.kill(0)?;
    assert!(kafka.id(0).is_err());
    kafka.restart(0)?;
    assert_ne!(kafka.id(0)?, id);
    assert_eq!(kafka.end(&topic, 0)?, 7, "a killed process loses nothing");
    kafka.lose_log(0, &topic, 2)?;
    kafka.restart(0)?;
    assert_eq!(kafka.end(&topic, 0)?, 4, "a machine without power does");
    Ok(())
}

#[test]
fn of_three_brokers_one_may_be_lost() -> Result<()> {
    let kafka = Kafka::cluster(3)?;
    let topic = kafka.topic("replicated", 1, &[])?;
    kafka.produce(&topic, 0, &[Record::of("one")])?;
    let lost = kafka.leaders(&topic)?[0].context("it has a leader")?;
    kafka.kill(lost)?;
    wait::until("another leader", LIMIT, || {
        let leader = kafka.leaders(&topic).ok().and_then(|leaders| leaders[0]);
        Ok(leader.filter(|leader| *leader != lost))
    })?;
    // The new leader may still wait for the old one, until it knows that it is gone.
    wait::until("a write", LIMIT, || Ok(kafka.produce(&topic, 0, &[Record::of("two")]).ok()))?;
    assert!(kafka.end(&topic, 0)? >= 2);
    kafka.restart(lost)
}
