//! Metrics in the text format of Prometheus.

use std::collections::BTreeMap;

use zk_client::{Client as ZkClient, CreateMode};
use zk_mini::{On, Then, ZkMini};
use zk_wire::ErrorCode;

use crate::support::{Client, start};

/// Returns each sample with its labels, and the types of the families.
async fn scrape(http: &Client) -> (BTreeMap<String, f64>, BTreeMap<String, String>) {
    let answer = http.get("/metrics").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let text = answer.text();
    let (mut samples, mut types) = (BTreeMap::new(), BTreeMap::new());
    for line in text.lines() {
        if let Some(family) = line.strip_prefix("# TYPE ") {
            let (name, kind) = family.split_once(' ').unwrap();
            assert_eq!(types.insert(name.to_owned(), kind.to_owned()), None, "{name} is there twice");
        } else if !line.starts_with('#') {
            let (sample, value) = line.rsplit_once(' ').unwrap();
            samples.insert(sample.to_owned(), value.parse().unwrap());
        }
    }
    (samples, types)
}

#[tokio::test]
async fn metrics_have_zookeepers_names_and_the_servers_figures() {
    let (zk, http) = start(ZkMini::builder()).await;
    let (before, types) = scrape(&http).await;
    assert!(before["readlatency{quantile=\"0.5\"}"].is_nan(), "there was no request");
    for (name, kind) in [
        ("znode_count", "gauge"),
        ("connection_rejected", "counter"),
        ("readlatency", "summary"),
        ("fsynctime", "summary"),
    ] {
        assert_eq!(types.get(name).map(String::as_str), Some(kind), "{name}");
    }
    let client = ZkClient::connect(&zk.connect_string()).await.unwrap();
    client.create("/app \"1\"", "data", CreateMode::Ephemeral).await.unwrap();
    client.get("/app \"1\"").await.unwrap();
    let (after, types) = scrape(&http).await;
    assert_eq!(
        (after["num_alive_connections"], after["global_sessions"], after["ephemerals_count"]),
        (1.0, 1.0, 1.0)
    );
    assert_eq!(after["znode_count"], before["znode_count"] + 1.0);
    assert_eq!((after["readlatency_count"], after["updatelatency_count"]), (1.0, 2.0));
    assert!(after["readlatency{quantile=\"0.99\"}"] >= 0.0);
    assert_eq!(after["read_per_namespace_count{key=\"app \\\"1\\\"\"}"], 1.0);
    assert_eq!(types["read_per_namespace"], "summary");
    assert!(after["process_open_fds"] > 0.0);
}

#[tokio::test]
async fn figures_that_only_this_server_has_are_prefixed() {
    let (zk, http) = start(ZkMini::builder().manual_clock()).await;
    let fault = zk.fault(On::create("/a"), Then::fail(ErrorCode::NO_NODE));
    let client = ZkClient::connect(&zk.connect_string()).await.unwrap();
    client.create("/a", "", CreateMode::Persistent).await.unwrap_err();
    let (samples, types) = scrape(&http).await;
    assert_eq!((samples["zk_mini_faults_fired_total"], samples["zk_mini_fault_rules"]), (1.0, 1.0));
    assert_eq!((samples["zk_mini_clock_manual"], samples["zk_mini_frozen"]), (1.0, 0.0));
    assert!(samples["zk_mini_history_entries_total"] > 1.0);
    assert_eq!(types["zk_mini_faults_fired_total"], "counter");
    drop(fault);
    let (again, _) = scrape(&http).await;
    assert_eq!((again["zk_mini_faults_fired_total"], again["zk_mini_fault_rules"]), (1.0, 0.0));
    assert_eq!(again["zk_mini_http_requests_total"], samples["zk_mini_http_requests_total"] + 1.0);
}
