//! `POST /v1/restart`, `/v1/reset`, `/v1/freeze`, `/v1/thaw`.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use zk_client::{Client, CreateMode};
use zk_mini::storage::SimulatedDisk;
use zk_mini::{SyncMode, ZkMini};

use crate::support::{LIMIT, start};

#[tokio::test]
async fn a_restart_keeps_nodes_and_sessions_and_closes_zookeeper_connections() {
    let (zk, http) = start(ZkMini::builder()).await;
    let client = Client::connect(&zk.connect_string()).await.unwrap();
    client.create("/leader", "me", CreateMode::Ephemeral).await.unwrap();
    let conn = zk.connections()[0].id;
    let status = http.post("/v1/restart", Value::Null).await.json(200);
    assert_eq!((&status["api"], &status["sessions"]), (&1.into(), &1.into()));
    assert!(zk.connections().iter().all(|connection| connection.id != conn));
    assert!(client.exists("/leader").await.unwrap().is_some(), "the client comes back by itself");
    http.post("/v1/restart?lose_unsynced=false", Value::Null).await.json(200);
    assert!(client.exists("/leader").await.unwrap().is_some());
    client.close().await.unwrap();
}

#[tokio::test]
async fn a_restart_that_loses_what_is_unsynced_loses_everything_in_memory() {
    let (zk, http) = start(ZkMini::builder()).await;
    http.put("/v1/nodes/a", "").await.json(201);
    let before = zk.last_zxid();
    let status = http.post("/v1/restart?lose_unsynced=true", Value::Null).await.json(200);
    assert!(zk.get("/a").is_none());
    assert!(zk.last_zxid() >= before, "{status}");
}

#[tokio::test]
async fn a_restart_that_loses_what_is_unsynced_keeps_what_is_on_the_disk() {
    let disk = SimulatedDisk::new(1);
    let builder = ZkMini::builder().data_dir("/data").disk(&disk).sync(SyncMode::Always);
    let (zk, http) = start(builder).await;
    http.put("/v1/nodes/a", "synced").await.json(201);
    http.post("/v1/restart?lose_unsynced=true", Value::Null).await.json(200);
    assert_eq!(zk.get("/a").unwrap().0, "synced");
}

#[tokio::test]
async fn a_reset_leaves_only_the_nodes_of_the_system() {
    let (zk, http) = start(ZkMini::builder()).await;
    let client = Client::connect(&zk.connect_string()).await.unwrap();
    client.create("/leader", "me", CreateMode::Ephemeral).await.unwrap();
    http.put("/v1/nodes/a/b", "").await.json(201);
    let before = zk.last_zxid();
    let status = http.post("/v1/reset", Value::Null).await.json(200);
    assert_eq!((&status["sessions"], &status["nodes"]), (&0.into(), &4.into()));
    assert!(zk.last_zxid() >= before);
    let root = http.get("/v1/tree").await.json(200);
    assert_eq!(root["children"].as_array().unwrap().len(), 1);
    drop(client);
}

#[tokio::test]
async fn a_reset_of_all_undoes_faults_freezes_and_the_clock() {
    let (zk, http) = start(ZkMini::builder()).await;
    let rule = json!({"when": {"op": "create"}, "then": {"fail": "NOAUTH"}});
    for all in [false, true] {
        http.post("/v1/faults", rule.clone()).await.json(200);
        http.post("/v1/clock", json!({"mode": "manual"})).await.json(200);
        http.post("/v1/clock", json!({"advance_ms": 1_000})).await.json(200);
        http.post("/v1/freeze", Value::Null).await.json(200);
        let status = http.post(&format!("/v1/reset?all={all}"), Value::Null).await.json(200);
        let clock = if all { "real" } else { "manual" };
        assert_eq!((&status["clock"], &status["frozen"]), (&clock.into(), &(!all).into()));
        assert_eq!(zk.faults().is_empty(), all);
    }
    let client = Client::connect(&zk.connect_string()).await.unwrap();
    client.create("/a", "", CreateMode::Persistent).await.unwrap();
    client.close().await.unwrap();
    http.post("/v1/reset?everything=true", Value::Null).await.json(400);
}

#[tokio::test]
async fn one_connection_lives_through_restarts_resets_and_freezes() {
    let (zk, http) = start(ZkMini::builder()).await;
    let mut stream = TcpStream::connect(http.addr).await.unwrap();
    for call in ["restart", "reset", "freeze", "restart", "reset", "thaw", "restart?lose_unsynced=true"] {
        let request = format!("POST /v1/{call} HTTP/1.1\r\nhost: {}\r\ncontent-length: 0\r\n\r\n", http.addr);
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = [0; 4_096];
        let read = tokio::time::timeout(LIMIT, stream.read(&mut answer)).await.expect(call).unwrap();
        assert!(answer[..read].starts_with(b"HTTP/1.1 200 "), "{call}: {}", String::from_utf8_lossy(&answer));
    }
    assert!(!zk.is_frozen());
}

#[tokio::test]
async fn nobody_expires_while_the_server_is_frozen() {
    let (zk, http) = start(ZkMini::builder().manual_clock()).await;
    let client = Client::connect(&zk.connect_string()).await.unwrap();
    zk.session(zk.sessions()[0].id).unwrap().freeze(); // so that no ping of its client is handled after the thaw
    assert_eq!(http.post("/v1/freeze", Value::Null).await.json(200)["frozen"], true);
    assert_eq!(http.post("/v1/freeze", Value::Null).await.json(200)["frozen"], true, "frozen already");
    zk.advance(Duration::from_secs(60)).await;
    assert_eq!(http.get("/v1/status").await.json(200)["sessions"], 1);
    let thawed = http.post("/v1/thaw", Value::Null).await.json(200);
    assert_eq!((&thawed["frozen"], &thawed["sessions"]), (&false.into(), &0.into()));
    assert_eq!(http.post("/v1/thaw", Value::Null).await.json(200)["frozen"], false);
    drop(client);
}

#[tokio::test]
async fn what_changes_something_is_no_get_and_a_wrong_option_is_named() {
    let (zk, http) = start(ZkMini::builder()).await;
    http.put("/v1/nodes/a", "").await.json(201);
    for call in ["restart", "reset", "freeze", "thaw", "restore"] {
        http.get(&format!("/v1/{call}")).await.error(405);
    }
    let message = http.post("/v1/restart?lose_unsynced=maybe", Value::Null).await.error(400);
    assert!(message.contains("lose_unsynced") && message.contains("`true` or `false`"), "{message}");
    let message = http.post("/v1/restart?lose=true", Value::Null).await.error(400);
    assert!(message.contains("`lose_unsynced`"), "{message}");
    assert!(zk.get("/a").is_some() && !zk.is_frozen());
}

#[tokio::test]
async fn a_server_whose_disk_is_lost_is_not_reset() {
    let disk = SimulatedDisk::new(1);
    let (zk, http) = start(ZkMini::builder().data_dir("/data").disk(&disk)).await;
    http.put("/v1/nodes/a", "").await.json(201);
    disk.set_full(true);
    http.put("/v1/nodes/b", "").await.error(503);
    zk.wait_for(|zk| zk.status().read_only, LIMIT).await.unwrap();
    for call in ["reset", "restart?lose_unsynced=true"] {
        let message = http.post(&format!("/v1/{call}"), Value::Null).await.error(503);
        assert!(message.contains("the disk of the server fails"), "{call}: {message}");
    }
    assert!(zk.get("/a").is_some());
}
