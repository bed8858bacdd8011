//! Families of metrics: values that share a name and a type.

use prometheus::proto::{Counter, Gauge, LabelPair, Metric, MetricFamily, MetricType, Quantile, Summary};

/// Value of a metric.
#[derive(Clone, Debug)]
pub(super) enum Sample {
    Gauge(f64),
    Counter(u64),
    Summary { count: u64, sum: u64, quantiles: Vec<(f64, f64)> },
}

impl Sample {
    fn kind(&self) -> MetricType {
        match self {
            Self::Gauge(_) => MetricType::GAUGE,
            Self::Counter(_) => MetricType::COUNTER,
            Self::Summary { .. } => MetricType::SUMMARY,
        }
    }
}

/// Returns a family of one type; its text of help may be empty. `None` without any sample.
pub(super) fn family(
    name: &str,
    help: &str,
    samples: impl IntoIterator<Item = (Vec<LabelPair>, Sample)>,
) -> Option<MetricFamily> {
    let mut samples = samples.into_iter().peekable();
    let mut family = MetricFamily::default();
    family.set_name(name.into());
    family.set_help(help.into());
    family.set_field_type(samples.peek()?.1.kind());
    family.set_metric(samples.map(|(labels, sample)| metric(labels, sample)).collect());
    Some(family)
}

pub(super) fn label(name: &str, value: impl Into<String>) -> LabelPair {
    let mut label = LabelPair::default();
    label.set_name(name.into());
    label.set_value(value.into());
    label
}

fn metric(labels: Vec<LabelPair>, sample: Sample) -> Metric {
    let mut metric = Metric::from_label(labels);
    match sample {
        Sample::Gauge(value) => {
            let mut gauge = Gauge::default();
            gauge.set_value(value);
            metric.set_gauge(gauge);
        }
        Sample::Counter(value) => {
            let mut counter = Counter::default();
            counter.set_value(float(value));
            metric.set_counter(counter);
        }
        Sample::Summary { count, sum, quantiles } => {
            let quantile = |(share, value)| {
                let mut quantile = Quantile::default();
                quantile.set_quantile(share);
                quantile.set_value(value);
                quantile
            };
            let mut summary = Summary::default();
            summary.set_sample_count(count);
            summary.set_sample_sum(float(sum));
            summary.set_quantile(quantiles.into_iter().map(quantile).collect());
            metric.set_summary(summary);
        }
    }
    metric
}

/// Returns a number as Prometheus has all numbers.
#[expect(clippy::cast_precision_loss, reason = "Prometheus has no other numbers")]
pub(super) fn float(number: u64) -> f64 {
    number as f64
}
