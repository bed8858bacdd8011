//! Metrics that ZooKeeper does not have.

use std::sync::atomic::Ordering;

use prometheus::proto::MetricFamily;
use zk_mini::Compat;
use zk_mini::figures::Figures;

use super::families::{Sample, family, float, label};
use crate::app::App;

/// Returns the figures of what only zk-mini has.
pub(super) fn families(app: &App, figures: &Figures) -> Vec<MetricFamily> {
    let status = app.server.status();
    let compat = match status.compat {
        Compat::V3_8 => "3.8",
        Compat::V3_9 => "3.9",
    };
    let flag = |is_set| Sample::Gauge(f64::from(u8::from(is_set)));
    let number = |number: usize| Sample::Gauge(float(u64::try_from(number).unwrap_or(u64::MAX)));
    let requests = app.shared.requests.load(Ordering::Relaxed);
    let one = |name: &str, help: &str, sample| family(name, help, [(Vec::new(), sample)]);
    let labels = vec![label("compat", compat), label("version", figures.configuration.version())];
    [
        family("zk_mini_info", "The release of ZooKeeper that the server is like.", [(labels, flag(true))]),
        one("zk_mini_clock_manual", "1 if time moves only by hand.", flag(status.clock_held)),
        one("zk_mini_frozen", "1 if the whole server is frozen.", flag(status.frozen)),
        one("zk_mini_down", "1 if the server is down.", flag(status.down)),
        one("zk_mini_read_only", "1 if the disk is lost and writes are refused.", flag(status.read_only)),
        one("zk_mini_last_zxid", "Zxid of the last transaction.", zxid(figures)),
        one(
            "zk_mini_history_entries_total",
            "Entries of the history, also of those that are no longer kept.",
            Sample::Counter(figures.history.recorded),
        ),
        one("zk_mini_fault_rules", "Fault rules.", number(figures.faults.rules)),
        one(
            "zk_mini_faults_fired_total",
            "Times that fault rules have fired, also those that were removed.",
            Sample::Counter(figures.faults.fired),
        ),
        one("zk_mini_http_requests_total", "Requests by HTTP.", Sample::Counter(requests)),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn zxid(figures: &Figures) -> Sample {
    Sample::Gauge(float(u64::try_from(figures.server.last_zxid.0).unwrap_or(0)))
}
