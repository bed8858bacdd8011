//! `mntr`: figures for monitoring, a name and a value to a line.

use std::fmt::{self, Display, Write};

use crate::core::Totals;
use crate::report::catalogue::{FigureValue, NamedFigure};
use crate::report::figures::{DescriptorFigures, Figures, Latency};

pub(crate) fn answer(figures: &Figures, descriptors: DescriptorFigures) -> String {
    let mut out = Lines(String::new());
    out.put("version", &figures.configuration.version());
    out.put("server_state", &figures.server.mode.name());
    if let Some(state) = figures.server.mode.peer_state() {
        out.put("peer_state", &state);
    }
    for NamedFigure { name, namespace, value } in figures.named(descriptors) {
        let name = match namespace {
            Some(namespace) => &format!("{namespace}_{name}"),
            None => name,
        };
        match value {
            FigureValue::Gauge(number) => out.put(name, &number),
            FigureValue::Decimal(number) => out.put(name, &Decimal(number)),
            FigureValue::Counter(number) => out.put(name, &number),
            FigureValue::Summary(totals) => out.put_totals(name, &totals),
            FigureValue::Spread(latency) => out.put_latency(name, &latency),
        }
    }
    out.0
}

/// A number as Java prints a `double`.
struct Decimal(f64);

impl Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

struct Lines(String);

impl Lines {
    fn put(&mut self, name: &str, value: &dyn Display) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.0, "zk_{name}\t{value}");
    }

    fn put_totals(&mut self, name: &str, totals: &Totals) {
        self.put(&format!("avg_{name}"), &Decimal(totals.mean()));
        self.put(&format!("min_{name}"), &totals.min);
        self.put(&format!("max_{name}"), &totals.max);
        self.put(&format!("cnt_{name}"), &totals.count);
        self.put(&format!("sum_{name}"), &totals.sum);
    }

    fn put_latency(&mut self, name: &str, latency: &Latency) {
        self.put_totals(name, &latency.totals);
        for (percentile, thousandths) in [("p50", 500), ("p95", 950), ("p99", 990), ("p999", 999)] {
            self.put(&format!("{percentile}_{name}"), &latency.percentile(thousandths));
        }
    }
}
