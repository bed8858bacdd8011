//! Metrics by the names and types of Apache ZooKeeper.

use prometheus::proto::{LabelPair, MetricFamily};
use zk_mini::figures::{DescriptorFigures, FigureValue, Figures, NamedFigure};

use super::families::{Sample, family, float, label};

/// Shares that the real server shows of a distribution, in thousandths.
const SHARES: [(f64, u64); 3] = [(0.5, 500), (0.9, 900), (0.99, 990)];

/// Returns the figures that ZooKeeper shows to monitors.
pub(super) fn families(figures: &Figures, descriptors: DescriptorFigures) -> Vec<MetricFamily> {
    let named = figures.named(descriptors);
    let families = named.chunk_by(|one, next| one.name == next.name);
    let families =
        families.filter_map(|group| family(group.first()?.name, "", group.iter().filter_map(sample)));
    families.chain(observers(figures)).collect()
}

/// Returns the number of observers at a follower: here it is 0, where `mntr` leaves out what a follower does not know.
fn observers(figures: &Figures) -> Option<MetricFamily> {
    figures.server.ensemble.filter(|ensemble| ensemble.leader.is_none())?;
    family("synced_observers", "", [(Vec::new(), Sample::Gauge(0.0))])
}

fn sample(figure: &NamedFigure<'_>) -> Option<(Vec<LabelPair>, Sample)> {
    let labels = figure.namespace.map(|namespace| label("key", namespace)).into_iter().collect();
    let sample = match &figure.value {
        #[expect(clippy::cast_precision_loss, reason = "Prometheus has no other numbers")]
        FigureValue::Gauge(number) => Sample::Gauge(*number as f64),
        FigureValue::Decimal(number) => Sample::Gauge(*number),
        FigureValue::Counter(number) => Sample::Counter(*number),
        FigureValue::Summary(totals) => {
            // The median of no values is known, that of others is not.
            let quantiles = if totals.count == 0 { vec![(0.5, f64::NAN)] } else { Vec::new() };
            Sample::Summary { count: totals.count, sum: totals.sum, quantiles }
        }
        FigureValue::Spread(latency) => {
            let totals = latency.totals;
            let value = |thousandths| match totals.count {
                0 => f64::NAN,
                _ => float(latency.percentile(thousandths)),
            };
            let quantiles = SHARES.map(|(share, thousandths)| (share, value(thousandths))).to_vec();
            Sample::Summary { count: totals.count, sum: totals.sum, quantiles }
        }
        _ => return None,
    };
    Some((labels, sample))
}
