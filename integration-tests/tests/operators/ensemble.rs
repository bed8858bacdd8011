//! The same of members of an ensemble: what a leader, a follower and a server without a quorum say.

use std::net::{Ipv4Addr, SocketAddr};

use integration_tests::ensemble::{Builder, RealZooKeeper};
use integration_tests::four_letter;
use integration_tests::http;
use integration_tests::ports::Port;
use integration_tests::wait::{PATIENCE, eventually};
use serde_json::Value;
use zk_mini::{Compat, Role, ZkMini};
use zk_mini_http::{Http, Settings};

use crate::admin::{all_differences, assert_none, json, run};
use crate::metrics::{PROVIDER, compare_scrapes, scrape};
use crate::scene::{self, TICK};

/// Names of figures that the real server has, and zk-mini has not: those of the connections between servers, which it has not, and of
/// the write of `/zookeeper/config` at the start, which is none of a client.
fn is_left_out(name: &str) -> bool {
    let is_between =
        name.starts_with("ack_latency") || name.contains("_ack_latency") && !name.contains("quorum");
    is_between
        || name.contains("learner_handler_qp_")
        || name.contains("write_per_namespace") && name.contains("zookeeper")
}

/// Three real servers, each with HTTP on a port.
struct Real {
    zk: RealZooKeeper,
    http: [SocketAddr; 3],
    _ports: [Port; 3],
}

impl Real {
    /// Starts real servers with lines of `zoo.cfg` that give each an HTTP port, by its index.
    fn start(compat: Compat, settings: impl Fn(Builder, usize, u16) -> Builder) -> Self {
        let ports = [(); 3].map(|()| Port::reserve().unwrap());
        let numbers = ports.each_ref().map(Port::number);
        let builder = RealZooKeeper::builder().release(scene::release(compat)).tick(TICK).servers(3);
        let builder = builder.setting("maxSessionTimeout", 40_000).setting("maxClientCnxns", 60);
        let builder = builder.jvm_option("-Dreadonlymode.enabled=true");
        let builder = (0..3).fold(builder, |builder, index| settings(builder, index, numbers[index]));
        let zk = builder.start().unwrap();
        Self { zk, http: numbers.map(|number| (Ipv4Addr::LOCALHOST, number).into()), _ports: ports }
    }

    fn with_admin_servers(compat: Compat) -> Self {
        Self::start(compat, |builder, index, port| {
            let builder = builder.setting_of(index, "admin.enableServer", true);
            let builder = builder.setting_of(index, "admin.serverAddress", "127.0.0.1");
            builder.setting_of(index, "admin.serverPort", port)
        })
    }

    fn with_metrics(compat: Compat) -> Self {
        Self::start(compat, |builder, index, port| {
            let builder = builder.setting_of(index, "metricsProvider.className", PROVIDER);
            let builder = builder.setting_of(index, "metricsProvider.httpHost", "127.0.0.1");
            builder.setting_of(index, "metricsProvider.httpPort", port)
        })
    }

    /// Returns the indexes of the leader and of a follower.
    fn roles(&self) -> (usize, usize) {
        let leader = self.zk.leader().unwrap();
        (leader, (leader + 1) % 3)
    }
}

/// Starts three servers of zk-mini, the third of which leads.
async fn mini(compat: Compat) -> (ZkMini, [SocketAddr; 3], tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let builder = ZkMini::builder().compat(compat).data_dir(dir.path()).tick(TICK).servers(3);
    let zk = Http::new(Settings::default()).share_port(builder).start().await.unwrap();
    let addrs = [1, 2, 3].map(|number| zk.server(number).unwrap().addr().unwrap());
    (zk, addrs, dir)
}

/// Returns the differences that count. The number of a server is checked on its own: another one may lead.
fn that_count(role: &str, found: Vec<String>) -> Vec<String> {
    let counted = found.into_iter().filter(|line| !is_left_out(line) && !line.contains("/server_id"));
    counted.map(|line| format!("{role}: {line}")).collect()
}

fn field(server: SocketAddr, command: &str, name: &str) -> Value {
    json(&run(server, "GET", command, &[]))[name].clone()
}

async fn compare(compat: Compat) {
    let mut real = Real::with_admin_servers(compat);
    let (mini, addrs, _dir) = mini(compat).await;
    let (leader, follower) = real.roles();
    let guests =
        (scene::visit(&real.zk.addr(follower).to_string()).await, scene::visit(&addrs[0].to_string()).await);
    let mut differences = Vec::new();
    for (role, real_index, mini_index) in [("leader", leader, 2), ("follower", follower, 0)] {
        differences.extend(that_count(role, all_differences(real.http[real_index], addrs[mini_index])));
        for (index, server, leads) in
            [(real_index, real.http[real_index], leader), (mini_index, addrs[mini_index], 2)]
        {
            assert_eq!(field(server, "configuration", "server_id"), index + 1);
            assert_eq!(field(server, "zabstate", "myid"), index + 1);
            assert_eq!(field(server, "leader", "leader_id"), leads + 1);
        }
        assert_eq!(field(addrs[mini_index], "configuration", "client_port"), addrs[mini_index].port());
    }
    let words = |word| [real.zk.addr(leader), addrs[2]].map(|addr| four_letter::ask(addr, word).unwrap());
    let last_lines = words("srvr").map(|text| text.lines().last().unwrap().to_owned());
    assert!(last_lines[0].starts_with("Proposal sizes"), "{last_lines:?}");
    assert_eq!(last_lines[0], last_lines[1]);

    guests.0.client.close().await.unwrap();
    guests.1.client.close().await.unwrap();
    real.zk.kill((follower + 1) % 3);
    real.zk.kill((follower + 2) % 3);
    let (last, left) = (real.zk.addr(follower), mini.server(1).unwrap());
    eventually("the last server is read-only", PATIENCE, || {
        four_letter::mode(last).as_deref() == Some("read-only")
    });
    for number in [2, 3] {
        mini.server(number).unwrap().stop().await;
    }
    assert_eq!(left.info().role, Role::Looking);
    differences.extend(that_count("read-only", all_differences(real.http[follower], addrs[0])));
    assert_none(&differences);
    let second_lines = [last, addrs[0]]
        .map(|addr| four_letter::ask(addr, "srvr").unwrap().lines().nth(1).unwrap().to_owned());
    assert_eq!(second_lines[0], second_lines[1]);

    // Clients of a server that is cut off get no answer; an operator does.
    left.partition().await;
    assert_eq!(
        field(addrs[0], "ruok", "error"),
        "the server is cut off from the others of its ensemble, and serves no requests"
    );
    assert_eq!(http::get(addrs[0], "/commands/zabstate").unwrap().status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_admin_servers_of_an_ensemble_answer_as_those_of_apache_zookeeper_3_8() {
    compare(Compat::V3_8).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_admin_servers_of_an_ensemble_answer_as_those_of_apache_zookeeper_3_9() {
    compare(Compat::V3_9).await;
}

async fn compare_metrics(compat: Compat) {
    let real = Real::with_metrics(compat);
    let (_mini, addrs, _dir) = mini(compat).await;
    let (leader, follower) = real.roles();
    let _guests =
        (scene::visit(&real.zk.addr(follower).to_string()).await, scene::visit(&addrs[0].to_string()).await);
    let [real_leader, real_follower, own_leader, own_follower] =
        [real.http[leader], real.http[follower], addrs[2], addrs[0]].map(scrape);
    for (role, mut real, own) in
        [("leader", real_leader, own_leader), ("follower", real_follower, own_follower)]
    {
        real.forget(is_left_out);
        compare_scrapes(&real, &own);
        for fact in [
            "quorum_size",
            "synced_observers",
            "learners",
            "synced_followers",
            "synced_non_voting_followers",
            "pending_syncs",
            "last_proposal_size",
            "min_proposal_size",
            "max_proposal_size",
        ] {
            assert_eq!(real.values.get(fact), own.values.get(fact), "{fact} of the {role}");
        }
        assert_eq!(own.values.contains_key("leader_uptime"), role == "leader");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_metrics_of_members_of_an_ensemble_are_those_of_apache_zookeeper_3_8() {
    compare_metrics(Compat::V3_8).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_metrics_of_members_of_an_ensemble_are_those_of_apache_zookeeper_3_9() {
    compare_metrics(Compat::V3_9).await;
}
