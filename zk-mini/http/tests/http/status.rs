//! `GET /v1/status`.

use serde_json::{Value, json};
use zk_client::{Client, CreateMode};
use zk_mini::{Compat, ZkMini};

use crate::support::{LIMIT, start};

#[tokio::test]
async fn the_status_counts_what_the_server_has() {
    let (zk, http) = start(ZkMini::builder().manual_clock()).await;
    let before = http.get("/v1/status").await.json(200);
    let client = Client::connect(&zk.connect_string()).await.unwrap();
    client.create("/a", "", CreateMode::Persistent).await.unwrap();
    let watch = client.get_and_watch("/a").await.unwrap();
    let after = http.get("/v1/status").await.json(200);
    assert_eq!(after["nodes"], json!(before["nodes"].as_u64().unwrap() + 1));
    let expected = json!({
        "api": 1, "version": zk_mini::VERSION, "compat": "3.9", "last_zxid": "0x2", "nodes": after["nodes"], "sessions": 1,
        "connections": 1, "watches": 1, "clock": "manual", "servers": 1, "frozen": false, "down": false, "read_only": false,
    });
    assert_eq!(after, expected);
    drop(watch);
    client.close().await.unwrap();
    zk.wait_for(|zk| zk.connections().is_empty(), LIMIT).await.unwrap();
    let gone = http.get("/v1/status").await.json(200);
    let counts = ["sessions", "connections", "watches"].map(|name| gone[name].clone());
    assert_eq!(counts, [0, 0, 0].map(Value::from));
}

#[tokio::test]
async fn the_status_names_the_clock_and_the_release_line() {
    let (_zk, http) = start(ZkMini::builder().compat(Compat::V3_8)).await;
    let status = http.get("/v1/status").await.json(200);
    assert_eq!((&status["clock"], &status["compat"]), (&"real".into(), &"3.8".into()));
    let zxid = status["last_zxid"].as_str().unwrap();
    assert!(zxid.starts_with("0x") && !zxid.starts_with("0x0") && zxid == zxid.to_lowercase(), "{zxid}");
}
