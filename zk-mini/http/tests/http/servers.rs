//! `/v1/servers` and `/v1/quorum`.

use serde_json::{Value, json};
use tokio::net::TcpStream;
use zk_client::{Client, CreateMode};
use zk_mini::ZkMini;

use crate::support::{self, start};

/// Starts three servers, and returns a client of HTTP for each.
async fn three() -> (ZkMini, Vec<support::Client>) {
    let (zk, _) = start(ZkMini::builder().servers(3)).await;
    let addrs = (1..=3).map(|number| zk.server(number).unwrap().addr().unwrap());
    let clients = addrs.map(|addr| support::Client { addr }).collect();
    (zk, clients)
}

#[tokio::test]
async fn the_servers_are_listed_and_each_says_its_role() {
    let (zk, http) = three().await;
    let servers = http[0].get("/v1/servers").await.json(200);
    let zxid = zk.last_zxid().to_string();
    for (at, role) in ["follower", "follower", "leader"].into_iter().enumerate() {
        let expected = json!({
            "server": at + 1, "address": http[at].addr.to_string(), "role": role, "state": "running",
            "last_zxid": zxid, "lag": {"none": true}, "behind": 0,
        });
        assert_eq!(servers[at], expected);
        let server_state = http[at].get("/commands/monitor").await.json(200)["server_state"].clone();
        assert_eq!(server_state, role);
    }
    assert_eq!(http[1].get("/v1/status").await.json(200)["servers"], 3);
}

#[tokio::test]
async fn a_server_is_stopped_and_started_and_another_one_leads() {
    let (_zk, http) = three().await;
    let row = http[0].post("/v1/servers/3/stop", Value::Null).await.json(200);
    assert_eq!((&row["state"], &row["role"]), (&"stopped".into(), &"looking".into()));
    assert!(TcpStream::connect(http[2].addr).await.is_err());
    assert_eq!(http[0].get("/v1/servers").await.json(200)[1]["role"], "leader");
    let row = http[1].post("/v1/servers/3/start", Value::Null).await.json(200);
    assert_eq!((&row["state"], &row["role"]), (&"running".into(), &"follower".into()));
    let row = http[2].post("/v1/servers/1/lead", Value::Null).await.json(200);
    assert_eq!(row["role"], "leader");
    assert_eq!(http[0].post("/v1/servers/1/restart", Value::Null).await.json(200)["state"], "running");
}

#[tokio::test]
async fn a_server_that_lags_shows_its_own_tree_connections_and_status() {
    let (zk, http) = three().await;
    let row = http[1].post("/v1/servers/1/lag", json!({"transactions": 5})).await.json(200);
    assert_eq!(row["lag"], json!({"transactions": 5}));
    let client = Client::connect(&zk.server(2).unwrap().connect_string()).await.unwrap();
    client.create("/a", "", CreateMode::Persistent).await.unwrap();
    assert_eq!(http[0].get("/v1/servers").await.json(200)[0]["behind"], 2, "the session, and the node");
    http[0].get("/v1/tree?path=/a").await.json(404);
    http[1].get("/v1/tree?path=/a").await.json(200);
    let counts = |at: usize| {
        let http = http[at];
        async move {
            let status = http.get("/v1/status").await.json(200);
            let listed = http.get("/v1/connections").await.json(200).as_array().unwrap().len();
            (status["nodes"].clone(), status["connections"].clone(), listed)
        }
    };
    assert_eq!(counts(0).await, (4.into(), 0.into(), 0));
    assert_eq!(counts(1).await, (5.into(), 1.into(), 1));
    // What it writes is the whole's.
    http[0].put("/v1/nodes/b", "").await.json(201);
    http[2].get("/v1/tree?path=/b").await.json(200);
    let row = http[0].post("/v1/servers/1/lag", json!({"ms": 1_000})).await.json(200);
    assert_eq!(row["lag"], json!({"ms": 1_000}));
    let row = http[0].post("/v1/servers/1/lag", json!({"none": true})).await.json(200);
    assert_eq!((&row["lag"], &row["behind"]), (&json!({"none": true}), &0.into()));
    http[0].get("/v1/tree?path=/b").await.json(200);
}

#[tokio::test]
async fn servers_answer_http_while_they_are_cut_off_frozen_or_without_a_quorum() {
    let (_zk, http) = three().await;
    for (call, back, state) in [("partition", "heal", "partitioned"), ("freeze", "thaw", "frozen")] {
        let row = http[0].post(&format!("/v1/servers/1/{call}"), Value::Null).await.json(200);
        assert_eq!(row["state"], state);
        let row = http[0].post(&format!("/v1/servers/1/{back}"), Value::Null).await.json(200);
        assert_eq!(row["state"], "running");
    }
    let rows = http[1].post("/v1/quorum", json!({"lost": true})).await.json(200);
    assert!(
        rows.as_array().unwrap().iter().all(|row| row["state"] == "read-only" && row["role"] == "looking")
    );
    assert!(http[1].post("/v1/servers/1/lead", Value::Null).await.error(409).contains("cannot lead"));
    let rows = http[2].post("/v1/quorum", json!({"lost": false})).await.json(200);
    assert_eq!(rows[2]["role"], "leader");
}

#[tokio::test]
async fn a_call_that_cannot_be_done_says_why() {
    let (_zk, http) = three().await;
    assert!(http[0].post("/v1/servers/4/stop", Value::Null).await.error(404).contains("servers 1 to 3"));
    assert!(http[0].post("/v1/servers/x/stop", Value::Null).await.error(400).contains("a number"));
    assert!(http[0].post("/v1/servers/1/explode", Value::Null).await.error(404).contains("partition"));
    assert!(http[0].post("/v1/servers/3/lag", json!({"ms": 1})).await.error(409).contains("leads"));
    for lag in [json!({}), json!({"none": false}), json!({"ms": 1, "transactions": 1})] {
        assert!(http[0].post("/v1/servers/1/lag", lag).await.error(400).contains("one of these"));
    }
    let (_zk, single) = start(ZkMini::builder()).await;
    assert_eq!(single.get("/v1/servers").await.json(200), json!([]));
    assert!(single.post("/v1/servers/1/stop", Value::Null).await.error(404).contains("a single server"));
}

#[tokio::test]
async fn a_reset_of_all_mends_the_servers() {
    let (_zk, http) = three().await;
    http[0].post("/v1/servers/2/stop", Value::Null).await.json(200);
    http[0].post("/v1/servers/1/lag", json!({"ms": 1_000})).await.json(200);
    http[0].post("/v1/reset?all=true", Value::Null).await.json(200);
    let rows = http[1].get("/v1/servers").await.json(200);
    for row in rows.as_array().unwrap() {
        assert_eq!((&row["state"], &row["lag"]), (&"running".into(), &json!({"none": true})));
    }
}
