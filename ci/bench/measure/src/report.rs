//! Figures of several rounds, as a table of medians and ratios and as JSON lines.

use std::collections::BTreeMap;

/// Values by measurement, figure and server, in the order of the rounds.
#[derive(Default)]
pub struct Report {
    rows: Vec<(String, &'static str)>,
    values: BTreeMap<(String, &'static str, String), Vec<f64>>,
}

impl Report {
    /// Adds a value, and prints it as a line of JSON.
    pub fn add(&mut self, what: &str, figure: &'static str, server: &str, value: f64) {
        let row = (what.to_owned(), figure);
        if !self.rows.contains(&row) {
            self.rows.push(row);
        }
        let line = serde_json::json!({ "what": what, "figure": figure, "server": server, "value": value });
        println!("{line}");
        self.values.entry((what.to_owned(), figure, server.to_owned())).or_default().push(value);
    }

    /// Formats a Markdown table of medians, with the ratio of each server to the first.
    pub fn table(&self, servers: &[&str]) -> String {
        let mut table = String::from("| what | figure |");
        for (index, server) in servers.iter().enumerate() {
            table += &format!(" {server} |");
            if index > 0 {
                table += &format!(" {server} / {} |", servers[0]);
            }
        }
        table += "\n| --- | --- |";
        table += &" ---: |".repeat(2 * servers.len() - 1);
        for (what, figure) in &self.rows {
            table += &format!("\n| {what} | {figure} |");
            let base = self.median(what, figure, servers[0]);
            for (index, server) in servers.iter().enumerate() {
                let median = self.median(what, figure, server);
                table += &format!(" {} |", median.map_or("-".into(), show));
                if index > 0 {
                    let ratio = median.zip(base).map(|(median, base)| median / base);
                    table += &format!(" {} |", ratio.map_or("-".into(), |ratio| format!("{ratio:.3}")));
                }
            }
        }
        table
    }

    /// Returns the median of the rounds, if there was a measurement.
    pub fn median(&self, what: &str, figure: &'static str, server: &str) -> Option<f64> {
        let mut values = self.values.get(&(what.to_owned(), figure, server.to_owned()))?.clone();
        values.sort_by(f64::total_cmp);
        Some(values[values.len() / 2])
    }
}

fn show(value: f64) -> String {
    if value >= 1000.0 { format!("{value:.0}") } else { format!("{value:.2}") }
}
