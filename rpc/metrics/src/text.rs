//! The text format of Prometheus.

use std::fmt::Write;

use crate::snapshot::{Kind, Labels, Snapshot, Value};

/// Content type of [`Snapshot::to_text`].
pub const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

impl Snapshot {
    /// Returns the text that Prometheus reads; its content type is [`TEXT`].
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut out = String::new();
        for (name, family) in &self.families {
            let kind = match family.kind {
                Kind::Counter => "counter",
                Kind::Gauge => "gauge",
                Kind::Histogram => "histogram",
            };
            let help = family.help.replace('\\', r"\\").replace('\n', r"\n");
            out.push_str(&format!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
            for (labels, value) in &family.series {
                write_series(&mut out, name, labels, value);
            }
        }
        out
    }
}

fn write_series(out: &mut String, name: &str, labels: &Labels, value: &Value) {
    let shown = shown(labels);
    let distribution = match value {
        Value::Number(number) => return line(out, name, &shown, "", number),
        Value::Distribution(distribution) => distribution,
    };
    let count = distribution.count();
    let bucket = format!("{name}_bucket");
    for (bound, at_most) in distribution.cumulative() {
        line(out, &bucket, &shown, &format!("le=\"{bound}\""), &at_most);
    }
    line(out, &bucket, &shown, "le=\"+Inf\"", &count);
    line(out, &format!("{name}_sum"), &shown, "", &distribution.sum().as_secs_f64());
    line(out, &format!("{name}_count"), &shown, "", &count);
}

/// Writes a line; `last` is a further label.
fn line(out: &mut String, name: &str, labels: &str, last: &str, value: &dyn std::fmt::Display) {
    let comma = if labels.is_empty() || last.is_empty() { "" } else { "," };
    // Writing to a string does not fail.
    let _ = match labels.is_empty() && last.is_empty() {
        true => writeln!(out, "{name} {value}"),
        false => writeln!(out, "{name}{{{labels}{comma}{last}}} {value}"),
    };
}

fn shown(labels: &Labels) -> String {
    let escaped = |value: &str| value.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n");
    let all: Vec<_> = labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
    all.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_escaped() {
        let mut snapshot = Snapshot::default();
        snapshot.counter("odd_total", "A \\ and\na line.", &[("name", "a\"b\\c\nd")], 1);
        assert_eq!(
            snapshot.to_text(),
            "# HELP odd_total A \\\\ and\\na line.\n# TYPE odd_total counter\nodd_total{name=\"a\\\"b\\\\c\\nd\"} 1\n"
        );
    }
}
