//! `/metrics`: what each part counts, in the OpenMetrics text format.
//!
//! Parts count in plain atomics and know nothing of the format; here they are read when somebody asks.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use rookery_collector::CollectorView;

/// One number of a part.
pub(crate) struct Sample {
    /// The name, with the part's prefix.
    pub(crate) name: String,
    /// The one label, where numbers of the same name are told apart.
    pub(crate) label: Option<(&'static str, &'static str)>,
    /// What it means.
    pub(crate) help: &'static str,
    /// Whether it only grows.
    pub(crate) is_counter: bool,
    /// Its value now.
    pub(crate) value: u64,
}

/// Counters of one part.
pub(crate) fn counters<'a>(
    part: &'a str,
    counters: impl IntoIterator<Item = (&'static str, &'static str, u64)> + 'a,
) -> impl Iterator<Item = Sample> + 'a {
    counters.into_iter().map(move |(name, help, value)| Sample {
        name: format!("rookery_{part}_{name}"),
        label: None,
        help,
        is_counter: true,
        value,
    })
}

/// A number that goes up and down.
pub(crate) fn gauge(name: &str, help: &'static str, value: u64) -> Sample {
    Sample { name: format!("rookery_{name}"), label: None, help, is_counter: false, value }
}

/// What a collector counts.
pub(crate) fn collector(view: &CollectorView) -> Vec<Sample> {
    let counted = view.counters().samples().into_iter().map(|sample| Sample {
        name: format!("rookery_collector_{}", sample.name),
        label: sample.label,
        help: sample.help,
        is_counter: sample.is_counter,
        value: sample.value,
    });
    counted.collect()
}

/// What an end of the Kafka queue counts.
pub(crate) fn kafka(stats: &rookery_kafka::Stats) -> impl Iterator<Item = Sample> {
    let whole = |value: i64| u64::try_from(value).unwrap_or(0);
    let lag = stats.lag().iter().map(|(.., lag)| whole(*lag)).sum();
    let mut samples: Vec<Sample> = counters("kafka", stats.counters()).collect();
    for (name, help, value) in stats.gauges() {
        samples.push(gauge(&format!("kafka_{name}"), help, whole(value)));
    }
    samples.push(gauge(
        "kafka_lag",
        "Messages in the partitions of this process that are not stored yet",
        lag,
    ));
    samples.into_iter()
}

struct Source<F>(F);

impl<F> fmt::Debug for Source<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Source")
    }
}

impl<F: Fn() -> Vec<Sample> + Send + Sync + 'static> Collector for Source<F> {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let samples = (self.0)();
        // Numbers of one name are one family, and a family is announced once.
        for family in samples.chunk_by(|a, b| a.name == b.name) {
            let Some(first) = family.first() else { continue };
            let kind = if first.is_counter { MetricType::Counter } else { MetricType::Gauge };
            let mut metrics = encoder.encode_descriptor(&first.name, first.help, None, kind)?;
            let [single @ Sample { label: None, .. }] = family else {
                for sample in family {
                    let label = sample.label.unwrap_or(("reason", ""));
                    sample.encode(metrics.encode_family(&[label])?)?;
                }
                continue;
            };
            single.encode(metrics)?;
        }
        Ok(())
    }
}

impl Sample {
    fn encode(&self, encoder: MetricEncoder<'_>) -> fmt::Result {
        if self.is_counter {
            ConstCounter::new(self.value).encode(encoder)
        } else {
            ConstGauge::new(i64::try_from(self.value).unwrap_or(i64::MAX)).encode(encoder)
        }
    }
}

/// A registry whose numbers come from `read` at each request.
pub(crate) fn registry(read: impl Fn() -> Vec<Sample> + Send + Sync + 'static) -> Registry {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Source(read)));
    registry
}
