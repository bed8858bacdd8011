//! `/v1/servers` and `/v1/quorum`.

use std::net::SocketAddr;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use zk_client::{Client, CreateMode};
use zk_mini::ZkMini;

use crate::support::{self, LIMIT, start};

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
    for (at, http) in http.iter().enumerate() {
        let status = http.get("/v1/status").await.json(200);
        assert_eq!((&status["servers"], &status["server"]), (&3.into(), &(at + 1).into()));
    }
    let (_zk, single) = start(ZkMini::builder()).await;
    assert!(single.get("/v1/status").await.json(200).get("server").is_none());
}

#[tokio::test]
async fn an_operator_hears_of_each_server_what_it_is() {
    let (zk, http) = three().await;
    for (at, http) in http.iter().enumerate() {
        let leader = http.get("/commands/leader").await.json(200);
        assert_eq!((&leader["is_leader"], &leader["leader_id"]), (&(at == 2).into(), &3.into()));
        let configuration = http.get("/commands/configuration").await.json(200);
        assert_eq!(
            (&configuration["server_id"], &configuration["client_port"]),
            (&(at + 1).into(), &http.addr.port().into())
        );
        let monitor = http.get("/commands/monitor").await.json(200);
        let (state, followers) =
            if at == 2 { ("leading - broadcast", json!(2)) } else { ("following - broadcast", Value::Null) };
        assert_eq!((&monitor["peer_state"], &monitor["synced_followers"]), (&state.into(), &followers));
        assert_eq!(http.get("/commands/zabstate").await.json(200)["myid"], at + 1);
    }
    zk.create("/a", "").await.unwrap();
    let sizes = http[2].get("/commands/server_stats").await.json(200)["proposal_stats"].clone();
    assert!(sizes["last_buffer_size"].as_i64() > Some(44), "{sizes}");
    assert!(http[0].get("/commands/server_stats").await.json(200).get("proposal_stats").is_none());

    http[0].post("/v1/servers/1/partition", Value::Null).await.json(200);
    for command in ["server_stats", "monitor", "leader"] {
        let error = http[0].get(&format!("/commands/{command}")).await.json(200)["error"].clone();
        assert!(error.as_str().unwrap().contains("cut off"), "{command}: {error}");
    }
    assert_eq!(http[0].get("/commands/zabstate").await.json(200)["zabstate"], "election");
    assert_eq!(http[2].get("/commands/zabstate").await.json(200)["zabstate"], "broadcast");
    assert_eq!(http[2].get("/commands/monitor").await.json(200)["synced_followers"], 1);
    http[1].post("/v1/quorum", json!({"lost": true})).await.json(200);
    assert_eq!(http[1].get("/commands/is_read_only").await.json(200)["read_only"], true);
    assert!(http[1].get("/commands/leader").await.json(200)["error"].as_str().unwrap().contains("no quorum"));
    assert_eq!(http[1].get("/commands/voting_view").await.json(200)["current_config"], json!({}));
    assert!(http[1].get("/commands/monitor").await.json(200).get("quorum_size").is_none());
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

/// Removes a server from the members by a `reconfig` of a client without a library.
async fn dismiss(at: SocketAddr, number: &str) {
    let mut stream = TcpStream::connect(at).await.unwrap();
    // Protocol and last zxid, timeout, no session yet, its password.
    let connect =
        [vec![0; 12], 10_000_i32.to_be_bytes().to_vec(), vec![0; 8], vec![0, 0, 0, 16], vec![0; 16]];
    exchange(&mut stream, &connect.concat()).await;
    let none = (-1_i32).to_be_bytes().to_vec();
    let leaving = [vec![0, 0, 0, 1], number.as_bytes().to_vec()].concat();
    // Xid, operation, those who join and leave, all members, the version that it is about.
    let reconfig = [vec![0, 0, 0, 1, 0, 0, 0, 16], none.clone(), leaving, none, vec![0xff; 8]];
    let reply = exchange(&mut stream, &reconfig.concat()).await;
    assert_eq!(reply[12..16], [0_u8; 4], "reconfig is refused");
}

/// Sends a frame, and returns the one that answers.
async fn exchange(stream: &mut TcpStream, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).unwrap();
    stream.write_u32(length).await.unwrap();
    stream.write_all(body).await.unwrap();
    let length = stream.read_u32().await.unwrap();
    let mut reply = vec![0; usize::try_from(length).unwrap()];
    stream.read_exact(&mut reply).await.unwrap();
    reply
}

#[tokio::test]
async fn a_server_without_a_vote_says_so_and_does_not_lead() {
    let builder = ZkMini::builder().servers(3).observers(1).reconfig_enabled(true).skip_acl(true);
    let (zk, http) = start(builder).await;
    dismiss(zk.addr().unwrap(), "2").await;
    let rows = http.get("/v1/servers").await.json(200);
    for (at, (role, member)) in
        [("follower", None), ("follower", Some(false)), ("leader", None), ("observer", None)]
            .into_iter()
            .enumerate()
    {
        assert_eq!(rows[at]["role"], role, "server {}", at + 1);
        assert_eq!(rows[at].get("member").and_then(Value::as_bool), member, "server {}", at + 1);
    }
    for number in [2, 4] {
        let refused = http.post(&format!("/v1/servers/{number}/lead"), Value::Null).await.error(409);
        assert!(refused.contains("an observer, or no member"), "{refused}");
    }
    http.post("/v1/reset?all=true", Value::Null).await.json(200);
    assert!(http.get("/v1/servers").await.json(200)[1].get("member").is_none());
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
async fn a_connection_to_a_server_that_is_stopped_ends_with_the_answer_that_is_due() {
    let (_zk, http) = three().await;
    let status = "GET /v1/status HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let stop = "POST /v1/servers/1/stop HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\n\r\n";
    let mut stream = TcpStream::connect(http[0].addr).await.unwrap();
    stream.write_all([status, stop, status].concat().as_bytes()).await.unwrap();
    let mut answers = String::new();
    tokio::time::timeout(LIMIT, stream.read_to_string(&mut answers)).await.expect("an end").unwrap();
    assert_eq!(answers.matches("HTTP/1.1 200").count(), 2, "{answers}");
    assert!(answers.contains("connection: close"), "{answers}");
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

#[tokio::test]
async fn the_controller_lets_another_server_of_an_ensemble_lead() {
    let (zk, http) = three().await;
    let leader = async || http[0].get("/commands/leader").await.json(200)["leader_id"].clone();
    assert_eq!(leader().await, 3);
    assert_eq!(http[0].post("/command/ELECTNEWLEADER", Value::Null).await.status, 200);
    assert_eq!(leader().await, 2);
    zk.lose_quorum().await;
    let refused = http[0].post("/command/ELECTNEWLEADER", Value::Null).await;
    assert_eq!(refused.status, 409, "{}", refused.text());
    assert!(refused.text().contains("no other server can lead"), "{}", refused.text());
}

#[tokio::test]
async fn an_operator_hears_of_the_observers_at_the_leader() {
    let (zk, _) = start(ZkMini::builder().servers(3).observers(1)).await;
    let http = |number| support::Client { addr: zk.server(number).unwrap().addr().unwrap() };
    let observers = http(3).get("/commands/observers").await.json(200);
    assert_eq!(observers["observers"], json!([{"sid": 4}]));
    assert_eq!(
        observers["synced_observers"],
        http(3).get("/commands/monitor").await.json(200)["synced_observers"]
    );
    assert_eq!(http(1).get("/commands/observers").await.json(200)["observers"], json!([]));
    zk.server(4).unwrap().stop().await;
    assert_eq!(http(3).get("/commands/observers").await.json(200)["synced_observers"], 0);
}

#[tokio::test]
async fn a_single_server_has_no_quorum_to_lose() {
    let (_zk, single) = start(ZkMini::builder()).await;
    for lost in [true, false] {
        let message = single.post("/v1/quorum", json!({"lost": lost})).await.error(404);
        assert!(message.contains("this is a single server"), "{message}");
    }
}

#[tokio::test]
async fn a_body_that_is_no_object_changes_nothing() {
    let (_zk, http) = three().await;
    for (path, body, said) in [
        ("/v1/quorum", json!([true]), "it is a list, and an object is expected"),
        ("/v1/quorum", json!([]), "it is a list"),
        ("/v1/quorum", Value::String("lost".into()), r#"expected {"lost":true} or {"lost":false}"#),
        ("/v1/servers/1/lag", json!([5]), "it is a list"),
        ("/v1/servers/1/lag", json!(5), r#"expected an object such as {"transactions":5}"#),
        ("/v1/servers/1/lag", json!({"transactions": 1e20}), "expected a whole number from 0 to"),
    ] {
        let message = http[0].post(path, body).await.error(400);
        assert!(message.contains(said) && !message.contains("struct"), "{message}");
    }
    let servers = http[0].get("/v1/servers").await.json(200);
    assert_eq!((&servers[0]["lag"], &servers[0]["state"]), (&json!({"none": true}), &json!("running")));
}
