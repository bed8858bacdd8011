//! `GET /v1/snapshot` and `POST /v1/restore`.

use serde_json::json;
use zk_client::{Client, CreateMode};
use zk_mini::{Snapshot, TreeFile, ZkMini};

use crate::support::{Answer, start};

const FILE: (&str, &str) = ("content-type", "application/octet-stream");
const YAML: (&str, &str) = ("content-type", "application/yaml");

#[tokio::test]
async fn a_snapshot_is_a_file_of_zookeeper_unless_asked_otherwise() {
    let (zk, http) = start(ZkMini::builder().manual_clock()).await;
    zk.create("/a", "data").await.unwrap();
    for accept in [&[][..], &[("accept", "*/*")], &[("accept", "application/octet-stream")]] {
        let answer = http.send("GET", "/v1/snapshot", accept, b"").await;
        assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/octet-stream")));
        assert!(answer.body.starts_with(b"ZKSN"));
        assert_eq!(answer.header("content-disposition"), Some("attachment; filename=\"snapshot.1\""));
        let snapshot = Snapshot::from_bytes(answer.body).unwrap();
        assert!(snapshot.nodes().iter().any(|node| &*node.path == "/a"));
    }
}

#[tokio::test]
async fn a_snapshot_is_a_readable_tree_for_those_who_prefer_it() {
    let (zk, http) = start(ZkMini::builder()).await;
    zk.create("/services/echo", "127.0.0.1:8080").parents().await.unwrap();
    let get = async |accept: &str| http.send("GET", "/v1/snapshot", &[("accept", accept)], b"").await;
    let yaml = get("application/yaml").await;
    assert_eq!((yaml.status, yaml.header("content-type")), (200, Some("application/yaml")));
    assert!(yaml.text().contains("/services/echo:\n  data: 127.0.0.1:8080"), "{}", yaml.text());
    assert_eq!(TreeFile::parse(&yaml.text()).unwrap(), zk.tree_file());
    let json = get("application/json;q=0.9, application/octet-stream;q=0.1").await;
    assert_eq!(json.header("content-type"), Some("application/json"));
    assert_eq!(json.json(200)["/services/echo"], json!({"data": "127.0.0.1:8080"}));
    for accept in ["text/html", "application/yaml;q=0", "image/*"] {
        let message = get(accept).await.error(406);
        assert!(message.contains("application/octet-stream, application/yaml"), "{message}");
    }
}

#[tokio::test]
async fn a_restored_file_is_the_state_of_before() {
    let (zk, http) = start(ZkMini::builder()).await;
    let client = Client::connect(&zk.connect_string()).await.unwrap();
    client.create("/leader", "me", CreateMode::Ephemeral).await.unwrap();
    zk.create("/config", "10").await.unwrap();
    let taken = http.get("/v1/snapshot").await.body;
    zk.set("/config", "20").await.unwrap();
    zk.create("/junk", "").await.unwrap();
    let before = zk.last_zxid();
    let restored = http.send("POST", "/v1/restore", &[FILE], &taken).await.json(200);
    assert_eq!((&restored["sessions"], &restored["left_out"]), (&1.into(), &json!([])));
    assert_eq!(zk.get("/config").unwrap().0, "10");
    assert!(zk.get("/junk").is_none() && zk.get("/leader").is_some());
    assert!(zk.last_zxid() >= before, "zxids go on");
    assert!(client.exists("/leader").await.unwrap().is_some(), "its session lives on");
    client.close().await.unwrap();
}

#[tokio::test]
async fn a_readable_tree_exchanges_the_whole_tree() {
    let (zk, http) = start(ZkMini::builder()).await;
    zk.create("/junk", "").await.unwrap();
    let yaml = "/a/b: {data: text}\n/leader: {data: me, ephemeral_owner: 0x17}\n";
    let types = ["application/yaml", "Application/YAML; charset=utf-8"];
    for content_type in types {
        let restored =
            http.send("POST", "/v1/restore", &[("content-type", content_type)], yaml.as_bytes()).await;
        assert_eq!(restored.json(200)["left_out"], json!(["/leader"]), "no session owns it");
        assert_eq!(zk.children("/").unwrap(), ["a", "zookeeper"]);
        let (data, stat) = zk.get("/a/b").unwrap();
        assert_eq!(data, "text");
        assert!(stat.ctime.0 > 1_700_000_000_000, "nodes of today: {stat:?}");
    }
    let json = json!({"/j": {"base64": "AAEC"}});
    http.post("/v1/restore", json).await.json(200);
    assert_eq!(zk.get("/j").unwrap().0, &[0, 1, 2][..]);
    assert!(zk.get("/a").is_none());
}

#[tokio::test]
async fn each_form_is_restored_as_it_was_sent() {
    let (zk, http) = start(ZkMini::builder()).await;
    let tree = "/a: {data: text}\n/b: {base64: AAEC/w==}\n/n: {data: null}\n/q: {kind: container}\n\
                /p: {acl: ['world:anyone:r']}\n";
    http.send("POST", "/v1/restore", &[YAML], tree.as_bytes()).await.json(200);
    let wanted = zk.tree_file();
    for content_type in ["application/octet-stream", "application/yaml", "application/json"] {
        let sent = http.send("GET", "/v1/snapshot", &[("accept", content_type)], b"").await;
        http.post("/v1/reset", json!(null)).await.json(200);
        http.send("POST", "/v1/restore", &[("content-type", content_type)], &sent.body).await.json(200);
        assert_eq!(zk.tree_file(), wanted, "{content_type}");
    }
}

#[tokio::test]
async fn a_snapshot_that_is_refused_changes_nothing() {
    let (zk, http) = start(ZkMini::builder()).await;
    zk.create("/a", "data").await.unwrap();
    let client = Client::connect(&zk.connect_string()).await.unwrap();
    let conn = zk.connections()[0].id;
    let good = http.get("/v1/snapshot").await.body;
    let mut damaged = good.clone();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 0x55;
    let gzip = [&[0x1f, 0x8b][..], &good].concat();
    let before = (zk.last_zxid(), zk.snapshot());
    let restore =
        async |headers: &[(&str, &str)], body: &[u8]| http.send("POST", "/v1/restore", headers, body).await;
    let refusals: [(Answer, u16, &str); 11] = [
        (restore(&[FILE], &damaged).await, 400, "at byte"),
        (restore(&[FILE], &good[..good.len() - 10]).await, 400, "byte"),
        (restore(&[FILE], b"nonsense").await, 400, "byte"),
        (restore(&[FILE], &gzip).await, 400, "decompress"),
        (restore(&[FILE], b"").await, 400, "empty"),
        (restore(&[YAML], b"/a:\n  dat: x").await, 400, "line 2, column 3: unknown field `dat`"),
        (restore(&[YAML], b"/a//b: {}").await, 400, "empty component"),
        (restore(&[YAML], b"/a: {data: \xff}").await, 400, "utf-8"),
        (restore(&[YAML], b"/a: {acl: ['world:anyone:xyz']}").await, 400, "cdrwa"),
        (restore(&[("content-type", "application/zip")], &good).await, 415, "application/octet-stream"),
        (restore(&[], &good).await, 415, "missing"),
    ];
    for (answer, status, says) in refusals {
        let message = answer.error(status);
        assert!(message.contains(says), "{says}: {message}");
    }
    assert!((zk.last_zxid(), zk.snapshot()) == before, "nothing has changed");
    assert_eq!(zk.connections()[0].id, conn, "nobody is disconnected");
    drop(client);
}

#[tokio::test]
async fn a_frozen_server_is_restored() {
    let (zk, http) = start(ZkMini::builder()).await;
    zk.create("/a", "").await.unwrap();
    let taken = http.get("/v1/snapshot").await.body;
    zk.freeze();
    zk.delete("/a").await.unwrap();
    http.send("POST", "/v1/restore", &[FILE], &taken).await.json(200);
    assert!(zk.get("/a").is_some() && zk.is_frozen());
}

#[tokio::test]
async fn a_server_with_long_data_is_restored_from_each_form() {
    let (zk, http) = start(ZkMini::builder().jute_max_buffer(8 << 20)).await;
    http.put("/v1/nodes/long", vec![b'x'; 5 << 20]).await.json(201);
    for content_type in ["application/octet-stream", "application/yaml"] {
        let sent = http.send("GET", "/v1/snapshot", &[("accept", content_type)], b"").await;
        http.delete("/v1/nodes/long").await.json(200);
        http.send("POST", "/v1/restore", &[("content-type", content_type)], &sent.body).await.json(200);
        assert_eq!(zk.get("/long").unwrap().0.len(), 5 << 20, "{content_type}");
    }
}
