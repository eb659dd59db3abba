//! Kafka as the queue, against real brokers: nothing lost, nothing overtaken, whatever happens to brokers, members and topics.

#[path = "kafka/ends.rs"]
mod ends;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Result, ensure};
use arrow_array::RecordBatch;
use ends::{Reader, Sender, Source, config, config_of, delivery, next, queue, subscription, until};
use rookery_core::Tenant;
use rookery_core::batch::{Batch, Fate};
use rookery_core::queue::{DeliveryId, Event, Queue, Subscription};
use rookery_core::units::{Bytes, Span};
use rookery_kafka::config::{ForeignFormat, ForeignTopic};
use rookery_kafka::foreign::{Decoder, Foreign};
use rookery_kafka::{KafkaConfig, KafkaQueue, KafkaSubscription, Stats, dead_letter};
use rookery_tests::kit::kafka::{Kafka, Record, Setup};
use rookery_tests::kit::parts::unique;
use rookery_tests::kit::random::Random;
use tokio_util::sync::CancellationToken;

type Runtime = tokio::runtime::Runtime;

fn runtime() -> Result<Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?)
}

/// Runs a test on a runtime of its own; a broker is started before.
fn run(test: impl Future<Output = Result<()>>) -> Result<()> {
    let _ = tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::WARN)
        .with_test_writer()
        .try_init();
    runtime()?.block_on(test)
}

#[test]
fn a_batch_comes_back_as_it_was_sent_and_is_not_delivered_again() -> Result<()> {
    let kafka = Kafka::shared()?;
    run(async {
        let config = config(kafka, &unique("round"));
        let (queue, sent) = queue(&config, "node-1").await?;
        let mut source = Source::new("node-1", 3);
        let batch = source.batch(50, "hello");
        queue.send(batch.clone()).await?.wait().await?;
        assert_eq!(sent.sent_records.load(Ordering::Relaxed), 150);
        // The receipt comes a moment before the last of the batch is let go.
        until("nothing in flight", async || {
            Ok((sent.in_flight_bytes.load(Ordering::Relaxed) == 0).then_some(()))
        })
        .await?;
        {
            let (mut first, _) = subscription(&config).await?;
            let (id, came) = delivery(&mut first).await?;
            assert_eq!((id.partition, id.sequence), (queue.partition(), 0));
            assert_eq!(came.records, batch.records);
            assert_eq!(came.ranges, batch.ranges);
            assert_eq!((&came.tenant, &came.collector), (&batch.tenant, &batch.collector));
            let before = first.frontiers().await?;
            assert_eq!(before.len(), 12);
            let own = before.iter().find(|f| f.partition == id.partition).unwrap();
            assert_eq!((own.end, own.acknowledged), (1, 0));
            first.acknowledge(&[id]).await?;
            let after = first.frontiers().await?;
            let own = after.iter().find(|f| f.partition == id.partition).unwrap();
            assert_eq!((own.end, own.acknowledged), (1, 1));
        }
        queue.send(source.batch(1, "second")).await?.wait().await?;
        let (mut second, _) = subscription(&config).await?;
        let (id, came) = delivery(&mut second).await?;
        assert_eq!((id.sequence, came.records.num_rows()), (1, 3));
        assert!(queue.close(Duration::from_secs(5)).await);
        Ok(())
    })
}

#[test]
fn a_batch_larger_than_a_message_comes_in_parts_and_its_receipt_waits_for_all() -> Result<()> {
    let kafka = Kafka::shared()?;
    run(async {
        let mut config = config(kafka, &unique("large"));
        config.message_limit = Bytes(64 * 1024);
        config.in_flight_limit = Bytes(256 * 1024);
        let (queue, sent) = queue(&config, "node-1").await?;
        let mut random = Random::new(7);
        let mut noise = || (0..200).map(|_| format!("{:016x}", random.bits())).collect::<String>();
        let mut source = Source::new("node-1", 2);
        // Of bodies that differ, so that no compressor makes them small.
        let mut batches = Vec::new();
        for _ in 0..300 {
            batches.push(source.batch(1, &noise()));
        }
        let whole = join(&batches)?;
        let receipt = queue.send(whole).await?;
        receipt.wait().await?;
        let messages = sent.sent_messages.load(Ordering::Relaxed);
        ensure!(messages > 3, "it was to be cut: {messages} messages");
        assert_eq!(sent.cut_batches.load(Ordering::Relaxed), 1);
        let (mut subscription, _) = subscription(&config).await?;
        let mut reader = Reader { bodies: Some(Vec::new()), ..Reader::default() };
        reader.read(&mut subscription, &source.ends()).await?;
        assert_eq!((reader.bodies.unwrap().len(), reader.duplicates), (600, 0));
        Ok(())
    })
}

/// Many batches as one.
fn join(batches: &[rookery_core::batch::Batch]) -> Result<rookery_core::batch::Batch> {
    let records: Vec<_> = batches.iter().map(|batch| batch.records.clone()).collect();
    let joined = arrow_select::concat::concat_batches(&records[0].schema(), &records)?;
    let first = batches[0].clone();
    let ranges = batches.iter().flat_map(|batch| batch.ranges.clone()).collect();
    Ok(rookery_core::batch::Batch { records: joined, ranges, ..first })
}

#[test]
fn a_killed_broker_loses_nothing_and_changes_no_order() -> Result<()> {
    let kafka = Kafka::start()?;
    run(async {
        let mut config = config(&kafka, &unique("killed"));
        config.partitions = 2;
        // Longer than a broker is away: with a shorter one the group takes the member for dead, and gives it again what it could not acknowledge.
        config.session_timeout = Span::seconds(120);
        let (queue, sent) = queue(&config, "node-1").await?;
        let (mut subscription, received) = subscription(&config).await?;
        ensure!(matches!(next(&mut subscription).await?, Event::Assigned(_)));
        let (mut source, mut sender) = (Source::new("node-1", 5), Sender::new(Arc::new(queue)));
        let ends = source.ends().into_keys().map(|stream| (stream, 120 * 20)).collect();
        let reading = tokio::spawn(async move {
            let mut reader = Reader::default();
            reader.read(&mut subscription, &ends).await.map(|()| reader)
        });
        for round in 0..3 {
            for _ in 0..20 {
                sender.send(source.batch(20, "x")).await?;
            }
            until("some of it to be read", async || {
                let read = received.received_messages.load(Ordering::Relaxed);
                Ok((read >= round * 40 + 10).then_some(()))
            })
            .await?;
            kafka.kill(0)?;
            for _ in 0..20 {
                sender.send(source.batch(20, "y")).await?;
            }
            kafka.restart(0)?;
            if round == 1 {
                sender.settle().await?;
            }
        }
        sender.settle().await?;
        let reader = reading.await??;
        let messages = kafka.end(&config.topic, 0)? + kafka.end(&config.topic, 1)?;
        assert_eq!(sender.failures, 0, "a broker that was away ends no producer's session");
        assert_eq!(messages, 120, "a request that is made twice is written once");
        assert_eq!(received.lost_partitions.load(Ordering::Relaxed), 0);
        assert_eq!(reader.duplicates, 0, "what was delivered does not come again");
        assert_eq!(sent.sent_records.load(Ordering::Relaxed), 120 * 100);
        Ok(())
    })
}

#[test]
fn a_revoked_partition_is_finished_before_another_member_reads_it() -> Result<()> {
    let kafka = Kafka::shared()?;
    run(async {
        let mut config = config(kafka, &unique("moves"));
        config.partitions = 2;
        // Two collectors, one in each partition.
        let mut senders = Vec::new();
        for number in 0.. {
            let name = format!("node-{number}");
            let (queue, _) = queue(&config, &name).await?;
            if senders
                .iter()
                .all(|(_, other): &(Source, KafkaQueue)| other.partition() != queue.partition())
            {
                senders.push((Source::new(&name, 2), queue));
            }
            if senders.len() == 2 {
                break;
            }
        }
        let (mut first, _) = subscription(&config).await?;
        let mut reader = Reader::default();
        let mut ends = std::collections::BTreeMap::new();
        let mut unacknowledged = Vec::new();
        for (source, queue) in &mut senders {
            for _ in 0..10 {
                queue.send(source.batch(10, "x")).await?.wait().await?;
            }
            ends.extend(source.ends());
        }
        while !reader.has(&ends) {
            let (id, batch) = delivery(&mut first).await?;
            reader.take(&batch)?;
            unacknowledged.push(id);
        }
        let joining = config.clone();
        let second = tokio::spawn(async move { subscription(&joining).await });
        let revoked = loop {
            if let Event::Revoked(revoked) = next(&mut first).await? {
                break revoked;
            }
        };
        assert_eq!(revoked.len(), 1);
        // The ingester finishes what it was writing.
        first.acknowledge(&unacknowledged).await?;
        let (mut second, _) = second.await??;
        let reading = tokio::spawn(async move {
            let event = next(&mut second).await?;
            anyhow::Ok((event, second))
        });
        // And says so.
        let staying = tokio::spawn(async move {
            let _ = tokio::time::timeout(Duration::from_secs(3), first.next()).await;
            first
        });
        let (event, mut second) = reading.await??;
        let Event::Assigned(assigned) = event else { anyhow::bail!("{event:?} came first") };
        assert_eq!(assigned, revoked);
        let mut first = staying.await?;
        for (source, queue) in &mut senders {
            queue.send(source.batch(1, "after")).await?.wait().await?;
        }
        let (a, b) = tokio::join!(delivery(&mut first), delivery(&mut second));
        let ((_, a), (_, b)) = (a?, b?);
        reader.take(&a)?;
        reader.take(&b)?;
        assert_eq!(reader.duplicates, 0, "what was acknowledged does not come again");
        Ok(())
    })
}

/// Two members, the second of which got the partition of the first, which was cut off with a batch in its hands and is heard again.
struct Taken {
    first: KafkaSubscription,
    stats: Arc<Stats>,
    id: DeliveryId,
    /// Dropped early, it would give the partition back.
    second: KafkaSubscription,
    queue: KafkaQueue,
    source: Source,
    /// What the second read.
    reader: Reader,
}

async fn taken_from(kafka: &Kafka, word: &str, is_held: bool) -> Result<Taken> {
    let mut far = config_of(&kafka.through(0)?, &unique(word));
    far.partitions = 1;
    let near = KafkaConfig { brokers: vec![kafka.bootstrap().into()], ..far.clone() };
    let (queue, _) = queue(&near, "node-1").await?;
    let mut source = Source::new("node-1", 2);
    queue.send(source.batch(10, "x")).await?.wait().await?;
    let (mut first, stats) = subscription(&far).await?;
    let (id, _) = delivery(&mut first).await?;
    first.hold(id.partition, is_held);
    kafka.proxy(0, 0)?.cut();
    let (mut second, _) = subscription(&near).await?;
    let mut reader = Reader::default();
    reader.read(&mut second, &source.ends()).await?;
    kafka.proxy(0, 0)?.pass();
    Ok(Taken { first, stats, id, second, queue, source, reader })
}

#[test]
fn a_member_that_is_cut_off_loses_its_partitions_and_what_it_had_comes_to_another() -> Result<()> {
    let kafka = Setup::brokers(1).proxies(1).start()?;
    run(async {
        let Taken { mut first, stats, id, second: _second, .. } =
            taken_from(&kafka, "lost", false).await?;
        let lost = loop {
            if let Event::Lost(lost) = next(&mut first).await? {
                break lost;
            }
        };
        assert_eq!(lost, [0]);
        assert_eq!(stats.lost_partitions.load(Ordering::Relaxed), 1);
        // What it says now changes nothing.
        first.acknowledge(&[id]).await?;
        Ok(())
    })
}

#[test]
fn a_partition_that_was_held_when_it_was_lost_is_read_when_it_comes_back() -> Result<()> {
    let kafka = Setup::brokers(1).proxies(1).start()?;
    run(async {
        let Taken { mut first, second, queue, mut source, mut reader, .. } =
            taken_from(&kafka, "held", true).await?;
        while !matches!(next(&mut first).await?, Event::Lost(_)) {}
        drop(second);
        queue.send(source.batch(10, "y")).await?.wait().await?;
        reader.read(&mut first, &source.ends()).await
    })
}

#[test]
fn a_topic_made_anew_is_read_from_its_beginning() -> Result<()> {
    let kafka = Kafka::shared()?;
    run(async {
        let mut config = config(kafka, &unique("anew"));
        config.partitions = 1;
        let (queue, _) = queue(&config, "node-1").await?;
        let (mut subscription, stats) = subscription(&config).await?;
        let (mut source, mut sender) = (Source::new("node-1", 2), Sender::new(Arc::new(queue)));
        let mut reader = Reader::default();
        for _ in 0..30 {
            sender.send(source.batch(2, "old")).await?;
        }
        sender.settle().await?;
        reader.read(&mut subscription, &source.ends()).await?;
        kafka.delete(&config.topic)?;
        kafka.create(&config.topic, 1, &[])?;
        // More than the offset that was committed, in the old topic.
        for _ in 0..60 {
            sender.send(source.batch(2, "new")).await?;
        }
        sender.settle().await?;
        reader.read(&mut subscription, &source.ends()).await?;
        ensure!(
            stats.recreated_topics.load(Ordering::Relaxed) > 0
                || stats.rebalances.load(Ordering::Relaxed) > 1
        );
        // Now while nobody reads.
        drop(subscription);
        kafka.delete(&config.topic)?;
        kafka.create(&config.topic, 1, &[])?;
        for _ in 0..120 {
            sender.send(source.batch(2, "newer")).await?;
        }
        sender.settle().await?;
        let (mut subscription, _) = ends::subscription(&config).await?;
        reader.read(&mut subscription, &source.ends()).await
    })
}

#[test]
fn a_broker_that_loses_its_log_leaves_nothing_behind_what_is_read() -> Result<()> {
    let kafka = Kafka::start()?;
    run(async {
        let mut config = config(&kafka, &unique("losing"));
        config.partitions = 1;
        let (queue, _) = queue(&config, "node-1").await?;
        let (mut subscription, _) = subscription(&config).await?;
        let (mut source, mut sender) = (Source::new("node-1", 2), Sender::new(Arc::new(queue)));
        let mut reader = Reader::default();
        for _ in 0..10 {
            sender.send(source.batch(2, "x")).await?;
            sender.settle().await?;
        }
        reader.read(&mut subscription, &source.ends()).await?;
        // All of it was read and committed; the broker comes back with less, and then gets more than it had.
        kafka.lose_log(0, &config.topic, 4)?;
        kafka.restart(0)?;
        for _ in 0..20 {
            sender.send(source.batch(2, "y")).await?;
            sender.settle().await?;
        }
        reader.read(&mut subscription, &source.ends()).await?;
        // The same while nobody reads.
        drop(subscription);
        kafka.lose_log(0, &config.topic, 4)?;
        kafka.restart(0)?;
        for _ in 0..20 {
            sender.send(source.batch(2, "z")).await?;
            sender.settle().await?;
        }
        let (mut subscription, _) = ends::subscription(&config).await?;
        reader.read(&mut subscription, &source.ends()).await
    })
}

#[test]
fn partitions_added_under_load_let_nothing_overtake() -> Result<()> {
    let kafka = Kafka::shared()?;
    run(async {
        let mut config = config(kafka, &unique("grows"));
        config.partitions = 1;
        let state = tempfile::tempdir()?;
        let cancel = CancellationToken::new();
        // A name whose place changes when there are five.
        let name = (0..)
            .map(|n| format!("node-{n}"))
            .find(|name| rookery_kafka::producer::partition_of(name, 5) != 0)
            .unwrap();
        let open = async || {
            let stats = Arc::new(Stats::default());
            KafkaQueue::open(config.clone(), &name, Some(state.path().to_owned()), stats, &cancel)
                .await
        };
        let queue = Arc::new(open().await?);
        let (mut source, mut sender) = (Source::new(&name, 4), Sender::new(queue.clone()));
        for _ in 0..20 {
            sender.send(source.batch(3, "x")).await?;
        }
        kafka.grow(&config.topic, 5)?;
        // Nobody reads: it stays where it is, also after a restart.
        for _ in 0..20 {
            sender.send(source.batch(3, "y")).await?;
        }
        sender.settle().await?;
        drop((sender, queue));
        let queue = Arc::new(open().await?);
        let mut sender = Sender::new(queue.clone());
        for _ in 0..20 {
            sender.send(source.batch(3, "z")).await?;
        }
        sender.settle().await?;
        assert_eq!(queue.partition(), 0);
        // Somebody reads: it moves, and what comes is in order.
        let (mut subscription, _) = subscription(&config).await?;
        let (told, mut ends) = tokio::sync::watch::channel(None);
        let reading = tokio::spawn(async move {
            let mut reader = Reader::default();
            loop {
                let event = tokio::select! {
                    event = next(&mut subscription) => event?,
                    _ = ends.changed() => continue,
                };
                if let Event::Delivered(delivery) = event {
                    reader.take(&delivery.batch)?;
                    subscription.acknowledge(&[delivery.id]).await?;
                }
                if ends.borrow().as_ref().is_some_and(|ends| reader.has(ends)) {
                    return anyhow::Ok(reader.duplicates);
                }
            }
        });
        let deadline = tokio::time::Instant::now() + ends::LIMIT;
        while queue.partition() == 0 {
            ensure!(tokio::time::Instant::now() < deadline, "it never moved");
            sender.send(source.batch(1, "moving")).await?;
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
        for _ in 0..20 {
            sender.send(source.batch(3, "moved")).await?;
        }
        // Told before the last of it is sent, so that something comes after.
        let last = source.batch(3, "last");
        told.send(Some(source.ends()))?;
        sender.send(last).await?;
        sender.settle().await?;
        assert_eq!(reading.await??, 0);
        assert_eq!(queue.partition(), rookery_kafka::producer::partition_of(&name, 5));
        Ok(())
    })
}

#[test]
fn what_cannot_be_decoded_is_put_aside_and_blocks_nothing_and_can_be_replayed() -> Result<()> {
    let kafka = Kafka::shared()?;
    run(async {
        let mut config = config(kafka, &unique("dead"));
        config.partitions = 1;
        let (queue, _) = queue(&config, "node-1").await?;
        let mut source = Source::new("node-1", 1);
        queue.send(source.batch(1, "x")).await?.wait().await?;
        let junk = Record {
            key: Some(b"who".to_vec()),
            value: b"not for us".to_vec(),
            headers: vec![("rookery".to_owned(), b"9".to_vec())],
        };
        kafka.produce(&config.topic, 0, &[junk, Record::of("nothing")])?;
        queue.send(source.batch(1, "y")).await?.wait().await?;
        kafka.produce(&config.topic, 0, &[Record::of("last")])?;
        let (mut first, stats) = subscription(&config).await?;
        let mut reader = Reader::default();
        reader.read(&mut first, &source.ends()).await?;
        until("the last dead letter", async || {
            Ok((stats.dead_letters.load(Ordering::Relaxed) == 3).then_some(()))
        })
        .await?;
        // The one at the end is passed over without an acknowledgement.
        until("the commit behind it", async || {
            let frontier = first.frontiers().await?[0];
            Ok((frontier.acknowledged == 5).then_some(()))
        })
        .await?;
        let listed = config.clone();
        let letters = tokio::task::spawn_blocking(move || dead_letter::list(&listed, 10)).await??;
        assert_eq!(letters.len(), 3);
        ensure!(letters[0].reason.contains("version \"9\""), "{letters:?}");
        assert_eq!((letters[0].offset, letters[0].size_bytes), (1, 10));
        let replayed = config.clone();
        let other = unique("elsewhere");
        kafka.create(&other, 1, &[])?;
        let target = other.clone();
        let count =
            tokio::task::spawn_blocking(move || dead_letter::replay(&replayed, Some(&target)))
                .await??;
        assert_eq!((count, kafka.end(&other, 0)?), (3, 3));
        let listed = config.clone();
        let letters = tokio::task::spawn_blocking(move || dead_letter::list(&listed, 10)).await??;
        assert_eq!(letters, []);
        Ok(())
    })
}

#[test]
fn what_is_deleted_under_a_reader_that_lives_comes_as_a_loss_in_its_place() -> Result<()> {
    let kafka = Setup::brokers(1).proxies(1).start()?;
    run(async {
        let theirs = kafka.topic("theirs", 1, &[])?;
        let config = KafkaConfig {
            foreign: vec![ForeignTopic {
                topic: theirs.clone(),
                format: ForeignFormat::Plain,
                tenant: "default".into(),
                stream_fields: Vec::new(),
                time_fields: Vec::new(),
                message_fields: Vec::new(),
            }],
            ..config_of(&kafka.through(0)?, &unique("own"))
        };
        let decoder: Decoder = Arc::new(|message: &Foreign<'_>| {
            let tenant = Tenant::default();
            let ranges = vec![message.range(message.stream(&tenant, &["a"]), 1)];
            let records = RecordBatch::new_empty(rookery_core::logs::schema());
            Ok(Batch { tenant, collector: "n".into(), records, ranges })
        });
        let (stats, cancel) = (Arc::new(Stats::default()), CancellationToken::new());
        let decoders = [(theirs.clone(), decoder)].into();
        let mut subscription =
            KafkaSubscription::open(config, decoders, stats.clone(), &cancel).await?;
        let send = |count| kafka.produce(&theirs, 0, &vec![Record::of("x"); count]);
        send(3)?;
        for expected in 0..3 {
            let (id, _) = delivery(&mut subscription).await?;
            assert_eq!(id.sequence, expected);
            subscription.acknowledge(&[id]).await?;
        }
        kafka.proxy(0, 0)?.cut();
        send(5)?;
        kafka.expire(&theirs, 0, 6)?;
        kafka.proxy(0, 0)?.pass();
        let (id, batch) = delivery(&mut subscription).await?;
        assert_eq!((id.sequence, batch.records.num_rows()), (5, 0));
        let range = &batch.ranges[0];
        assert_eq!(range.fate, Fate::Lost("expired_unread".into()));
        assert_eq!((range.generation, range.records), (4, 3));
        for expected in 6..8 {
            let (id, batch) = delivery(&mut subscription).await?;
            assert_eq!((id.sequence, &batch.ranges[0].fate), (expected, &Fate::Kept));
        }
        assert_eq!(stats.expired_messages.load(Ordering::Relaxed), 3);
        Ok(())
    })
}

#[test]
fn a_full_buffer_pauses_and_a_held_partition_lets_the_others_through() -> Result<()> {
    let kafka = Kafka::shared()?;
    run(async {
        let mut config = config(kafka, &unique("full"));
        config.partitions = 2;
        config.buffer_limit = Bytes(256 * 1024);
        config.session_timeout = Span::seconds(6);
        let mut ends = std::collections::BTreeMap::new();
        let mut places = std::collections::BTreeSet::new();
        for number in 0..6 {
            let name = format!("node-{number}");
            let (queue, _) = queue(&config, &name).await?;
            places.insert(queue.partition());
            let (mut source, mut sender) = (Source::new(&name, 1), Sender::new(Arc::new(queue)));
            for _ in 0..40 {
                sender
                    .send(source.batch(100, "a body of some length so that it fills the buffer"))
                    .await?;
            }
            sender.settle().await?;
            ends.extend(source.ends());
        }
        assert_eq!(places.len(), 2, "both partitions are used");
        let (mut subscription, stats) = subscription(&config).await?;
        let mut reader = Reader::default();
        let (id, batch) = delivery(&mut subscription).await?;
        reader.take(&batch)?;
        subscription.hold(id.partition, true);
        until("a full buffer", async || {
            Ok((stats.pauses.load(Ordering::Relaxed) > 0).then_some(()))
        })
        .await?;
        let mut last = Vec::new();
        for _ in 0..40 {
            let (other, batch) = delivery(&mut subscription).await?;
            assert_ne!(other.partition, id.partition, "it is held");
            reader.take(&batch)?;
            last.push(other);
        }
        subscription.acknowledge(&last).await?;
        subscription.hold(id.partition, false);
        reader.read(&mut subscription, &ends).await?;
        ensure!(stats.buffered_bytes.load(Ordering::Relaxed) <= 1 << 20);
        assert_eq!(reader.duplicates, 0);
        Ok(())
    })
}

#[test]
fn a_missing_broker_is_waited_for_and_a_stop_ends_the_wait() -> Result<()> {
    run(async {
        let config = config_of("127.0.0.1:1", "nowhere");
        let cancel = CancellationToken::new();
        let stopping = cancel.clone();
        let opening = tokio::spawn(async move {
            KafkaQueue::open(config, "node-1", None, Arc::new(Stats::default()), &stopping)
                .await
                .map(|_| ())
        });
        tokio::task::yield_now().await;
        cancel.cancel();
        let error = tokio::time::timeout(ends::LIMIT, opening).await??.unwrap_err();
        assert_eq!(error.kind(), rookery_core::Kind::Cancelled);
        Ok(())
    })
}

#[test]
fn a_missing_topic_is_made_as_configured_also_where_brokers_make_topics_themselves() -> Result<()> {
    let kafka = Setup::brokers(1).property("auto.create.topics.enable", "true").start()?;
    run(async {
        let mut config = config(&kafka, "made");
        config.partitions = 5;
        let (_queue, _) = queue(&config, "node-1").await?;
        assert_eq!(kafka.leaders(&config.topic)?.len(), 5);
        Ok(())
    })
}
