//! Metrics for Prometheus: names, types and labels.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use integration_tests::http;
use zk_mini::Compat;

use crate::scene::{self, Real};

pub(crate) const PROVIDER: &str = "org.apache.zookeeper.metrics.prometheus.PrometheusMetricsProvider";

/// Metric of the process that the real server has not.
const ADDED: &str = "process_threads";

/// Metrics of a server.
pub(crate) struct Scrape {
    types: BTreeMap<String, String>,
    /// Names with their labels.
    samples: BTreeSet<String>,
    pub(crate) values: BTreeMap<String, f64>,
}

impl Scrape {
    /// Forgets samples by their names.
    pub(crate) fn forget(&mut self, is_left_out: impl Fn(&str) -> bool) {
        self.samples.retain(|name| !is_left_out(name));
        self.values.retain(|name, _| !is_left_out(name));
    }
}

pub(crate) fn scrape(server: SocketAddr) -> Scrape {
    let answer = http::get(server, "/metrics").unwrap();
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.header("content-type").map(str::to_lowercase).as_deref(),
        Some("text/plain; version=0.0.4; charset=utf-8")
    );
    let mut scrape = Scrape { types: BTreeMap::new(), samples: BTreeSet::new(), values: BTreeMap::new() };
    for line in answer.text().lines() {
        if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|family| family.split_once(' ')) {
            scrape.types.insert(name.to_owned(), kind.to_owned());
        } else if !line.starts_with('#') {
            let (sample, value) = line.rsplit_once(' ').unwrap();
            // The real server writes a comma behind the last label.
            let sample = sample.replace(",}", "}");
            scrape.values.insert(sample.clone(), value.parse().unwrap());
            scrape.samples.insert(sample);
        }
    }
    scrape
}

async fn compare(compat: Compat) {
    let real = Real::start(compat, |builder, port| {
        let builder = builder.setting("metricsProvider.className", PROVIDER);
        builder.setting("metricsProvider.httpHost", "127.0.0.1").setting("metricsProvider.httpPort", port)
    });
    let (mini, addr, _dir) = scene::mini(compat).await;
    let _guests = (scene::visit(&real.zk.connect_string()).await, scene::visit(&mini.connect_string()).await);
    let (real, mini) = (scrape(real.http), scrape(addr));
    compare_scrapes(&real, &mini);
    for (name, least) in
        [("readlatency_count", 3.0), ("updatelatency_count", 4.0), ("node_changed_watch_count_count", 1.0)]
    {
        assert!(real.values[name] >= least && mini.values[name] >= least, "{name}");
    }
}

/// Fails if names, types, labels or facts differ.
pub(crate) fn compare_scrapes(real: &Scrape, mini: &Scrape) {
    let is_javas = |name: &str| name.starts_with("jvm_");
    // Of a metric without a sample, such as those of quotas, the real server shows the type, and zk-mini nothing.
    let has_samples = |name: &str| {
        let of_it = |sample: &String| {
            sample.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with(['{', '_']))
        };
        real.samples.iter().any(of_it)
    };
    for (name, kind) in &real.types {
        match mini.types.get(name) {
            Some(own) => assert_eq!(own, kind, "{name}"),
            None => assert!(is_javas(name) || !has_samples(name), "{name} is missing"),
        }
    }
    for name in mini.types.keys().filter(|name| !name.starts_with("zk_mini_") && *name != ADDED) {
        assert!(real.types.contains_key(name), "{name} is none of ZooKeeper's");
    }
    // The real server keeps the values of the last minutes, and zk-mini only the extremes of those that are no latencies.
    let is_left_out = |sample: &&String| {
        is_javas(sample) || !mini.samples.contains(*sample) && sample.contains("quantile=\"0.5\"")
    };
    let missing: Vec<_> =
        real.samples.difference(&mini.samples).filter(|sample| !is_left_out(sample)).collect();
    assert!(missing.is_empty(), "{missing:?}");
    for fact in [
        "znode_count",
        "ephemerals_count",
        "global_sessions",
        "num_alive_connections",
        "watch_count",
        "outstanding_requests",
    ] {
        assert_eq!(real.values[fact], mini.values[fact], "{fact}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_have_the_names_and_types_of_apache_zookeeper_3_8() {
    compare(Compat::V3_8).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_have_the_names_and_types_of_apache_zookeeper_3_9() {
    compare(Compat::V3_9).await;
}
