//! Metrics as values: families of series, which can be added up and looked up.

use std::collections::BTreeMap;

use crate::distribution::Distribution;
use crate::label::{INSTANCE_LABEL, OTHER};

/// Names and values that tell the series of a family apart.
pub(crate) type Labels = Vec<(String, String)>;

/// Readings of metrics at one moment. Those of several processes can be added up.
///
/// ```
/// use rpc_metrics::Snapshot;
///
/// let mut sum = Snapshot::default();
/// for worker in ["a", "b"] {
///     let mut snapshot = Snapshot::default();
///     snapshot.counter("jobs_total", "Jobs done.", &[("kind", "mail")], 2);
///     snapshot.gauge("jobs_running", "Jobs that run.", &[], u64::from(worker == "b"));
///     sum.merge(&snapshot);
/// }
/// assert_eq!(sum.sum("jobs_total", &[("kind", "mail")]), 4);
/// assert!(sum.to_text().ends_with("# TYPE jobs_total counter\njobs_total{kind=\"mail\"} 4\n"));
/// ```
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Snapshot {
    pub(crate) families: BTreeMap<String, Family>,
}

/// Series that share a name.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Family {
    pub(crate) help: String,
    pub(crate) kind: Kind,
    pub(crate) series: BTreeMap<Labels, Value>,
}

/// Type of a family.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// Reading of one series.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Value {
    Number(u64),
    Distribution(Distribution),
}

impl Snapshot {
    /// Adds to a number that only grows. By custom its name ends with `_total`.
    pub fn counter(&mut self, name: &str, help: &str, labels: &[(&str, &str)], value: u64) {
        self.add(name, help, Kind::Counter, owned(labels), Value::Number(value));
    }

    /// Adds to a number that grows and shrinks.
    pub fn gauge(&mut self, name: &str, help: &str, labels: &[(&str, &str)], value: u64) {
        self.add(name, help, Kind::Gauge, owned(labels), Value::Number(value));
    }

    /// Adds to a histogram of durations. By custom its name ends with `_seconds`.
    pub fn histogram(&mut self, name: &str, help: &str, labels: &[(&str, &str)], value: Distribution) {
        self.add(name, help, Kind::Histogram, owned(labels), Value::Distribution(value));
    }

    /// Adds the readings of another snapshot: series with the same name and labels become their sum.
    pub fn merge(&mut self, other: &Self) {
        for (name, family) in &other.families {
            for (labels, value) in &family.series {
                self.add(name, &family.help, family.kind, labels.clone(), value.clone());
            }
        }
    }

    /// Adds the readings of another snapshot, as [`merge`](Self::merge) does, but never has more than `max` series of a family
    /// because of it, and one whose labels all have the value `_OTHER`, to which further series are added. So a sum over
    /// processes that come and go stays small, whatever their labels are.
    pub fn merge_within(&mut self, max: usize, other: &Self) {
        for (name, family) in &other.families {
            for (labels, value) in &family.series {
                let own = self.families.get(name).map(|family| &family.series);
                let has_room = own.is_none_or(|own| own.len() < max || own.contains_key(labels));
                let labels = if has_room { labels.clone() } else { others(labels) };
                self.add(name, &family.help, family.kind, labels, value.clone());
            }
        }
    }

    /// Removes what describes the present, and keeps what has been counted: the part of a process that has ended. Calls in
    /// flight go, and so do a client's counts for each instance, which are those of its connections.
    pub fn retain_counted(&mut self) {
        self.families.retain(|_, family| {
            family.series.retain(|labels, _| !is_of_connection(labels));
            family.kind != Kind::Gauge && !family.series.is_empty()
        });
    }

    /// Adds a label to a client's counts for each instance. They last as long as a connection of one process, so a sum over
    /// processes would fall when one of them ends. With a label for each process they go, and no sum falls.
    pub fn label_connections(&mut self, name: &str, value: &str) {
        for family in self.families.values_mut() {
            let label = |(mut labels, reading): (Labels, Value)| {
                if is_of_connection(&labels) {
                    labels.push((name.to_owned(), value.to_owned()));
                }
                (labels, reading)
            };
            family.series = std::mem::take(&mut family.series).into_iter().map(label).collect();
        }
    }

    /// Returns the sum of the counters or gauges of this name that have at least these labels.
    #[must_use]
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        self.select(name, labels).fold(0, |sum, value| match value {
            Value::Number(number) => sum.saturating_add(*number),
            Value::Distribution(_) => sum,
        })
    }

    /// Returns the sum of the histograms of this name that have at least these labels.
    #[must_use]
    pub fn distribution(&self, name: &str, labels: &[(&str, &str)]) -> Distribution {
        let mut sum = Distribution::default();
        for value in self.select(name, labels) {
            if let Value::Distribution(distribution) = value {
                sum.merge(distribution);
            }
        }
        sum
    }

    /// Returns the values of a label that series of this name have.
    #[must_use]
    pub fn label_values(&self, name: &str, label: &str) -> Vec<&str> {
        let series = self.families.get(name).into_iter().flat_map(|family| family.series.keys());
        let mut values: Vec<_> =
            series.flatten().filter(|(name, _)| name == label).map(|(_, value)| value.as_str()).collect();
        values.sort_unstable();
        values.dedup();
        values
    }

    fn select(&self, name: &str, labels: &[(&str, &str)]) -> impl Iterator<Item = &Value> {
        let has = |own: &Labels| {
            labels.iter().all(|(name, value)| own.iter().any(|(own, is)| own == name && is == value))
        };
        let series = self.families.get(name).into_iter().flat_map(|family| &family.series);
        series.filter(move |(own, _)| has(own)).map(|(_, value)| value)
    }

    /// Adds a reading. A family has the type of its first reading; one of another type is left out.
    pub(crate) fn add(&mut self, name: &str, help: &str, kind: Kind, labels: Labels, value: Value) {
        if !self.families.contains_key(name) {
            let family = Family { help: help.to_owned(), kind, series: BTreeMap::new() };
            self.families.insert(name.to_owned(), family);
        }
        let Some(family) = self.families.get_mut(name).filter(|family| family.kind == kind) else { return };
        match family.series.get_mut(&labels) {
            None => {
                family.series.insert(labels, value);
            }
            Some(Value::Number(sum)) => {
                if let Value::Number(number) = value {
                    *sum = sum.saturating_add(number);
                }
            }
            Some(Value::Distribution(sum)) => {
                if let Value::Distribution(distribution) = value {
                    sum.merge(&distribution);
                }
            }
        }
    }
}

fn is_of_connection(labels: &Labels) -> bool {
    labels.iter().any(|(name, _)| name == INSTANCE_LABEL)
}

/// Returns the labels of the series to which those without room are added.
fn others(labels: &Labels) -> Labels {
    labels.iter().map(|(name, _)| (name.clone(), OTHER.to_owned())).collect()
}

fn owned(labels: &[(&str, &str)]) -> Labels {
    labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::ClientMetrics;

    #[test]
    fn processes_that_come_and_go_leave_a_bounded_number_of_series() {
        let mut departed = Snapshot::default();
        for worker in 0..100 {
            let mut last = Snapshot::default();
            for kind in 0..3 {
                let label = [("kind", &*format!("{}", worker % 2 * 1_000 * worker + kind))];
                last.counter("jobs_total", "Jobs done.", &label, 1);
            }
            departed.merge_within(10, &last);
        }
        assert_eq!(departed.families["jobs_total"].series.len(), 11);
        assert_eq!(departed.sum("jobs_total", &[]), 300);
        // Those that had room keep their own series.
        assert_eq!(departed.sum("jobs_total", &[("kind", "1")]), 50);
        assert_eq!(departed.sum("jobs_total", &[("kind", OTHER)]), 300 - 150 - 7);
    }

    #[test]
    fn a_process_that_has_ended_leaves_its_calls_and_not_its_connections() {
        let client = ClientMetrics::new("shop");
        let instance = client.instance("10.0.0.1:80", "7-ab");
        for calls in [client.method("price"), &*instance] {
            calls.start();
            calls.end(0, Duration::from_millis(1));
        }
        let mut last = client.snapshot();
        last.retain_counted();
        assert_eq!(last.sum("rpc_client_calls_total", &[]), 1);
        assert!(!last.to_text().contains("rpc_client_attempts") && !last.to_text().contains("in_flight"));
    }
}
