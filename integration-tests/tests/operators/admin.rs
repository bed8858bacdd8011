//! The AdminServer: names, fields, types, status codes.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use integration_tests::http::{self, Answer};
use serde_json::Value;
use zk_mini::Compat;

use crate::scene::{self, Real};

/// Commands that zk-mini wants to be posted, since they change something.
const POSTED: [&str; 3] = ["connection_stat_reset", "set_trace_mask", "stat_reset"];

const DIGEST: (&str, &str) = ("authorization", "digest root:secret");
const BYTES: (&str, &str) = ("content-type", "application/octet-stream");

fn real(compat: Compat) -> Real {
    Real::start(compat, |builder, port| {
        let builder = builder.setting("admin.enableServer", true).setting("admin.serverAddress", "127.0.0.1");
        builder.setting("admin.serverPort", port)
    })
}

fn links(server: SocketAddr) -> Vec<String> {
    let list = http::get(server, "/commands").unwrap();
    assert_eq!(list.status, 200);
    list.text().lines().filter(|line| line.starts_with("<a ")).map(str::to_owned).collect()
}

pub(crate) fn run(server: SocketAddr, method: &str, command: &str, headers: &[(&str, &str)]) -> Answer {
    http::send(server, method, &format!("/commands/{command}"), headers, b"").unwrap()
}

pub(crate) fn json(answer: &Answer) -> Value {
    assert_eq!(answer.header("content-type"), Some("application/json"), "{}", answer.text());
    serde_json::from_slice(&answer.body).unwrap()
}

/// Returns each field with the type of its value: what a program that reads the answer relies on. Keys that are data (ids, times,
/// paths) are one key; items of a list are one item.
fn shape(value: &Value) -> BTreeSet<String> {
    let mut fields = BTreeSet::new();
    add_shape("", value, &mut fields);
    fields
}

fn add_shape(at: &str, value: &Value, fields: &mut BTreeSet<String>) {
    match value {
        Value::Object(entries) => {
            fields.insert(format!("{at}: object"));
            for (key, value) in entries {
                let is_data = key.starts_with('/') || key.parse::<i64>().is_ok();
                let key = if is_data { "DATA" } else { key };
                add_shape(&format!("{at}.{key}"), value, fields);
            }
        }
        Value::Array(items) => {
            fields.insert(format!("{at}: list"));
            items.iter().for_each(|item| add_shape(&format!("{at}[]"), item, fields));
        }
        Value::Null => drop(fields.insert(format!("{at}: null"))),
        Value::Bool(_) => drop(fields.insert(format!("{at}: boolean"))),
        Value::String(_) => drop(fields.insert(format!("{at}: text"))),
        Value::Number(number) if number.is_f64() => drop(fields.insert(format!("{at}: decimal"))),
        Value::Number(_) => drop(fields.insert(format!("{at}: integer"))),
    }
}

/// Values that are facts of the state.
const FACTS: [&str; 30] = [
    "/tick_time",
    "/max_client_cnxns",
    "/min_session_timeout",
    "/max_session_timeout",
    "/server_id",
    "/client_port_listen_backlog",
    "/num_connections",
    "/num_paths",
    "/num_total_watches",
    "/node_count",
    "/read_only",
    "/server_stats/num_alive_client_connections",
    "/server_stats/server_state",
    "/connections/0/session_timeout",
    "/connections/0/interest_ops",
    "/connections/0/last_operation",
    "/tracemask",
    "/znode_count",
    // Of members of an ensemble.
    "/is_leader",
    "/leader_ip",
    "/peer_state",
    "/server_state",
    "/quorum_size",
    "/learners",
    "/synced_followers",
    "/synced_observers",
    "/proposal_stats",
    "/voting",
    "/zabstate",
    "/zab_counter",
];

/// Returns the differences between the answers to a command, a line for each.
fn differences(command: &str, real: &Value, mini: &Value) -> Vec<String> {
    let mut found = Vec::new();
    // Java's own properties.
    if command != "system_properties" {
        let (real, mini) = (shape(real), shape(mini));
        found.extend(real.difference(&mini).map(|field| format!("{command}: {field} is missing")));
        found.extend(mini.difference(&real).map(|field| format!("{command}: {field} is added")));
    }
    for fact in FACTS.into_iter().chain(["/command"]) {
        let (real, mini) = (real.pointer(fact), mini.pointer(fact));
        if real != mini {
            found.push(format!("{command}{fact}: {real:?} is {mini:?}"));
        }
    }
    found
}

#[track_caller]
pub(crate) fn assert_none(differences: &[String]) {
    assert!(differences.is_empty(), "the servers differ:\n{}", differences.join("\n"));
}

/// Returns the differences between the answers of two servers to all commands.
pub(crate) fn all_differences(real: SocketAddr, mini: SocketAddr) -> Vec<String> {
    let names = links(real);
    assert_eq!(names, links(mini));
    let mut found = Vec::new();
    for link in names {
        let name = link.split(['<', '>']).nth(2).unwrap();
        let answers = (run(real, "GET", name, &[]), run(mini, "GET", name, &[]));
        match name {
            // A GET of it is a failure of the real server; see below.
            "restore" => assert_eq!(answers.1.status, 405),
            _ if POSTED.contains(&name) => {
                assert_eq!(answers.1.status, 405);
                found.extend(differences(name, &json(&answers.0), &json(&run(mini, "POST", name, &[]))));
            }
            _ => {
                assert_eq!(answers.0.status, answers.1.status, "{name}");
                found.extend(differences(name, &json(&answers.0), &json(&answers.1)));
            }
        }
    }
    found
}

async fn compare(compat: Compat) {
    let real = real(compat);
    let (mini, addr, _dir) = scene::mini(compat).await;
    let _guests = (scene::visit(&real.zk.connect_string()).await, scene::visit(&mini.connect_string()).await);
    assert_none(&all_differences(real.http, addr));
    for command in [
        "nope", "ruok/", "a%22b", "mntr", "srvr", "lead", "wchp", "rest", "snap", "zabstate", "conf",
        "config", "envi",
    ] {
        let answers = [real.http, addr].map(|server| run(server, "GET", command, &[]));
        if command == "rest" && compat == Compat::V3_9 {
            continue;
        }
        assert_eq!(answers[0].status, answers[1].status, "{command}");
        let [real, mini] = answers.each_ref().map(json);
        assert_eq!((&real["command"], real["error"].is_null()), (&mini["command"], mini["error"].is_null()));
    }
    let masks = ["set_trace_mask?traceMask=7", "stmk?traceMask=-1&traceMask=2", "stmk?traceMask=x"];
    for command in masks {
        let (real, mini) =
            (json(&run(real.http, "GET", command, &[])), json(&run(addr, "POST", command, &[])));
        assert_eq!(
            (&real["tracemask"], real["error"].is_null()),
            (&mini["tracemask"], mini["error"].is_null())
        );
    }
    let masks = [real.http, addr].map(|server| json(&run(server, "GET", "gtmk", &[])));
    assert_eq!(masks[0], masks[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_admin_server_answers_as_that_of_apache_zookeeper_3_8() {
    compare(Compat::V3_8).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_admin_server_answers_as_that_of_apache_zookeeper_3_9() {
    compare(Compat::V3_9).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn snapshots_by_command_are_guarded_alike_and_each_server_restores_the_others() {
    let real = real(Compat::V3_9);
    let (mini, addr, _dir) = scene::mini(Compat::V3_9).await;
    for servers in [real.zk.connect_string(), mini.connect_string()] {
        scene::visit(&servers).await.client.close().await.unwrap();
    }
    for authorization in ["digest", "nope x", "digest a b", "world anyone", "sasl x", "x509"] {
        for (method, command) in [("GET", "snapshot"), ("POST", "restore")] {
            let refused = [real.http, addr]
                .map(|server| run(server, method, command, &[("authorization", authorization)]));
            assert_eq!(refused[0].status, refused[1].status, "{authorization} {command}");
            let [real, mini] = refused.each_ref().map(json);
            assert_none(&differences(command, &real, &mini));
        }
    }
    let snapshots = [real.http, addr].map(|server| run(server, "GET", "snapshot", &[DIGEST]));
    for snapshot in &snapshots {
        assert_eq!(
            (snapshot.status, snapshot.header("content-type")),
            (200, Some("application/octet-stream"))
        );
        assert_eq!(snapshot.header("snapshot_size"), Some(&*snapshot.body.len().to_string()));
        assert!(snapshot.header("last_zxid").is_some_and(|zxid| zxid.starts_with("0x")));
    }
    for (server, snapshot) in [(real.http, &snapshots[1]), (addr, &snapshots[0])] {
        let restored =
            http::send(server, "POST", "/commands/restore", &[DIGEST, BYTES], &snapshot.body).unwrap();
        assert_eq!(restored.status, 200, "{}", restored.text());
        assert!(json(&restored)["last_zxid"].is_i64());
    }
    for servers in [real.zk.connect_string(), mini.connect_string()] {
        let client = zk_client::Client::connect(&servers).await.unwrap();
        assert_eq!(client.get("/a").await.unwrap().0, "more", "{servers}");
    }
}
