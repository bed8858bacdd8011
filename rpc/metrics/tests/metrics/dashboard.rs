//! The dashboard asks for metrics that exist.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::text::everything;

/// Metrics of the parent of workers; a test of rpc-server finds them in its output.
const SUPERVISOR: [&str; 6] = [
    "prefork_children",
    "prefork_slot_restarts_total",
    "prefork_slot_up",
    "prefork_uptime_seconds",
    "prefork_workers_ended_total",
    "prefork_workers_wanted",
];

/// Returns the queries of all panels.
fn queries(dashboard: &Value) -> Vec<&str> {
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let targets = panels.filter_map(|panel| panel["targets"].as_array()).flatten();
    targets.map(|target| target["expr"].as_str().unwrap()).collect()
}

/// Returns the words of a query that are names of metrics.
fn metrics(query: &str) -> impl Iterator<Item = &str> {
    let words = query.split(|end: char| !(end.is_ascii_alphanumeric() || end == '_'));
    words.filter(|word| word.starts_with("rpc_") || word.starts_with("prefork_"))
}

#[test]
fn every_metric_of_the_dashboard_exists() {
    let dashboard: Value = serde_json::from_str(include_str!("../../dashboard.json")).unwrap();
    let text = everything().to_text();
    let is_sample = |name: &str| {
        text.lines().any(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' '])))
    };
    let queries = queries(&dashboard);
    assert!(queries.len() > 20 && queries.iter().all(|query| metrics(query).next().is_some()));
    let asked: BTreeSet<_> = queries.iter().flat_map(|query| metrics(query)).collect();
    for name in &asked {
        let is_supervisors = SUPERVISOR.contains(name);
        assert!(is_supervisors || is_sample(name), "{name}");
    }
    // And each family is on it.
    for family in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()) {
        let (bucket, shown) = (format!("{family}_bucket"), asked.contains(family));
        assert!(
            shown || asked.contains(&*bucket) || family == "rpc_server_accepted_connections_total",
            "{family}"
        );
    }
}

#[test]
fn labels_of_the_dashboard_exist() {
    let dashboard: Value = serde_json::from_str(include_str!("../../dashboard.json")).unwrap();
    let text = everything().to_text();
    let supervisors = ["how", "slot", "state", "le", "instance"];
    for panel in dashboard["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().into_iter().flatten() {
            for label in target["legendFormat"].as_str().unwrap().split("{{").skip(1) {
                let label = label.split("}}").next().unwrap();
                assert!(supervisors.contains(&label) || text.contains(&format!("{label}=\"")), "{label}");
            }
        }
    }
}
