//! Real brokers, and what is done to them.

use anyhow::Result;
use rookery_tests::kit::kafka::{Kafka, Setup};

#[test]
fn topics_are_made_grown_and_removed() -> Result<()> {
    let kafka = Kafka::shared()?;
    let topic = kafka.topic("grown", 2, &[("retention.ms", "60000")])?;
    assert_eq!(kafka.leaders(&topic)?.len(), 2);
    assert!(kafka.create(&topic, 1, &[]).is_err(), "it exists");
    kafka.grow(&topic, 5)?;
    assert_eq!(kafka.leaders(&topic)?.len(), 5);
    kafka.delete(&topic)?;
    kafka.create(&topic, 1, &[])?;
    assert_eq!(kafka.leaders(&topic)?.len(), 1);
    Ok(())
}

#[test]
fn a_broker_is_killed_paused_and_brought_back_with_its_topics() -> Result<()> {
    let kafka = Setup::brokers(1).proxies(1).start()?;
    let topic = kafka.topic("kept", 1, &[])?;
    let id = kafka.id(0)?;
    kafka.pause(0)?;
    assert!(kafka.leaders(&topic).is_err());
    kafka.resume(0)?;
    assert_eq!(kafka.leaders(&topic)?, [Some(0)]);
    kafka.kill(0)?;
    assert!(kafka.id(0).is_err());
    kafka.restart(0)?;
    assert_ne!(kafka.id(0)?, id);
    assert_eq!(kafka.leaders(&topic)?, [Some(0)]);
    Ok(())
}
