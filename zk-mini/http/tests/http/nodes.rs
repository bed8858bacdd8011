//! `PUT` and `DELETE /v1/nodes/PATH`.

use std::time::Duration;

use serde_json::json;
use zk_client::{Client, CreateMode, EventType};
use zk_mini::ZkMini;
use zk_mini::storage::SimulatedDisk;
use zk_mini_http::Settings;

use crate::support::{start, start_with};

#[tokio::test]
async fn a_node_is_created_with_its_parents_and_then_set() {
    let (zk, http) = start(ZkMini::builder().manual_clock()).await;
    let created = http.put("/v1/nodes/services/echo/a", "one").await.json(201);
    assert_eq!(created["path"], "/services/echo/a");
    let stat = json!({
        "czxid": "0x1", "mzxid": "0x1", "ctime": created["stat"]["ctime"], "mtime": created["stat"]["ctime"], "version": 0,
        "cversion": 0, "aversion": 0, "ephemeralOwner": "0x0", "dataLength": 3, "numChildren": 0, "pzxid": "0x1",
    });
    assert_eq!(created["stat"], stat);
    let set = http.put("/v1/nodes/services/echo/a", "other").await.json(200);
    assert_eq!((&set["stat"]["version"], &set["stat"]["mzxid"]), (&1.into(), &"0x2".into()));
    assert_eq!(zk.get("/services/echo/a").unwrap().0, "other");
    assert_eq!(zk.get("/services").unwrap().0, "");
    http.put("/v1/nodes/services", []).await.json(200);
    assert_eq!(http.put("/v1/nodes/", "data of the root").await.json(200)["path"], "/");
    assert_eq!(zk.get("/").unwrap().0, "data of the root");
}

#[tokio::test]
async fn any_content_type_is_data_and_so_is_none() {
    let (zk, http) = start(ZkMini::builder()).await;
    let types: [&[(&str, &str)]; 4] = [
        &[],
        &[("content-type", "text/plain")],
        &[("content-type", "application/x-www-form-urlencoded")],
        &[("content-type", "application/json")],
    ];
    for headers in types {
        let answer = http.send("PUT", "/v1/nodes/a", headers, &[0xff, b'=', 0]).await;
        assert!(matches!(answer.status, 200 | 201), "{headers:?}");
        assert_eq!(zk.get("/a").unwrap().0, &[0xff, b'=', 0][..]);
        zk.set("/a", "").await.unwrap();
    }
}

#[tokio::test]
async fn clients_see_a_write_as_that_of_another_client() {
    let (zk, http) = start(ZkMini::builder()).await;
    let client = Client::connect(&zk.connect_string()).await.unwrap();
    client.create("/a", "1", CreateMode::Persistent).await.unwrap();
    let (_, _, mut watch) = client.get_and_watch("/a").await.unwrap();
    let (_, _, mut children) = client.children_and_watch("/a").await.unwrap();
    let set = http.put("/v1/nodes/a", "2").await.json(200);
    assert_eq!(watch.changed().await.unwrap().event, EventType::NODE_DATA_CHANGED);
    http.put("/v1/nodes/a/b/c", "").await.json(201);
    assert_eq!(children.changed().await.unwrap().event, EventType::NODE_CHILDREN_CHANGED);
    let (data, stat) = client.get("/a").await.unwrap();
    assert_eq!(
        (&data[..], format!("{:#x}", stat.mzxid.0)),
        (&b"2"[..], set["stat"]["mzxid"].as_str().unwrap().into())
    );
    let mut gone = client.get_and_watch("/a/b/c").await.unwrap().2;
    http.delete("/v1/nodes/a/b/c").await.json(200);
    assert_eq!(gone.changed().await.unwrap().event, EventType::NODE_DELETED);
    client.close().await.unwrap();
}

#[tokio::test]
async fn an_ephemeral_node_belongs_to_the_session_that_is_named() {
    let (zk, http) = start(ZkMini::builder()).await;
    let client = Client::connect(&zk.connect_string()).await.unwrap();
    let owner = format!("{:#x}", zk.sessions()[0].id.0);
    let padded = format!("0X{:0>20}", owner.trim_start_matches("0x").to_uppercase());
    let created = http.put(&format!("/v1/nodes/a/leader?ephemeral_owner={padded}"), "me").await.json(201);
    assert_eq!(created["stat"]["ephemeralOwner"], owner);
    http.put(&format!("/v1/nodes/a/leader?ephemeral_owner={owner}"), "still").await.json(200);
    let below = http.put("/v1/nodes/a/leader/below", "").await.error(409);
    assert!(below.contains("ephemeral nodes have no children"), "{below}");
    http.put("/v1/nodes/plain", "mine").await.json(201);
    let other = http.put(&format!("/v1/nodes/plain?ephemeral_owner={owner}"), "yours").await.error(409);
    assert!(other.contains("does not belong to session"), "{other}");
    assert_eq!(zk.get("/plain").unwrap().0, "mine");
    for path in ["/v1/nodes/b/new", "/v1/nodes/plain"] {
        let unknown = http.put(&format!("{path}?ephemeral_owner=0xdead"), "").await.error(404);
        assert!(unknown.contains("session 0xdead") && unknown.contains("/v1/sessions"), "{unknown}");
    }
    assert!(zk.get("/b").is_none(), "no parent is left behind");
    let malformed = http.put("/v1/nodes/b?ephemeral_owner=17", "").await.error(400);
    assert!(malformed.contains("0x1a2b"), "{malformed}");
    client.close().await.unwrap();
    zk.wait_for(|zk| zk.get("/a/leader").is_none(), Duration::from_secs(20)).await.unwrap();
}

#[tokio::test]
async fn a_sequential_node_is_always_new_and_its_number_is_in_the_answer() {
    let (zk, http) = start(ZkMini::builder()).await;
    for n in 0..3 {
        let created = http.put("/v1/nodes/queue/n-?sequential=true", "").await.json(201);
        assert_eq!(created["path"], format!("/queue/n-000000000{n}"));
    }
    assert_eq!(http.put("/v1/nodes/queue/?sequential=true", "").await.json(201)["path"], "/queue/0000000003");
    let of_root = http.put("/v1/nodes/?sequential=true", "").await.json(201);
    assert!(of_root["path"].as_str().unwrap().starts_with("/0000000"), "{of_root}");
    let client = Client::connect(&zk.connect_string()).await.unwrap();
    let owner = format!("{:#x}", zk.sessions()[0].id.0);
    let both = format!("/v1/nodes/lock/l-?sequential=true&ephemeral_owner={owner}");
    assert_eq!(http.put(&both, "").await.json(201)["stat"]["ephemeralOwner"], owner);
    let plain = http.put("/v1/nodes/queue/n-?sequential=false", "").await.json(201);
    assert_eq!(plain["path"], "/queue/n-");
    client.close().await.unwrap();
}

#[tokio::test]
async fn a_path_is_decoded_and_checked_by_the_rules_of_zookeeper() {
    let (zk, http) = start(ZkMini::builder()).await;
    for (sent, path) in [
        ("with%20space", "/with space"),
        ("gr%C3%BC%C3%9Fe/%E6%BC%A2", "/grüße/漢"),
        ("a%2Fb", "/a/b"),
        ("100%25", "/100%"),
        ("plus+plus", "/plus+plus"),
        ("...", "/..."),
        ("%3Fq=1%23x;y", "/?q=1#x;y"),
        ("%2e%2e%2e", "/..."),
    ] {
        let answer = http.put(&format!("/v1/nodes/{sent}"), sent).await;
        assert!(matches!(answer.status, 200 | 201), "{sent}");
        assert_eq!(answer.json(answer.status)["path"], path);
        assert_eq!(zk.get(path).unwrap().0, sent);
    }
    let before = zk.last_zxid();
    for (sent, says) in [
        ("/a", "empty component"),
        ("a//b", "empty component"),
        ("a%2F%2Fb", "empty component"),
        ("a/", "ends with \"/\""),
        (".", "\".\" or \"..\""),
        ("a/../b", "\".\" or \"..\""),
        ("%2E%2E/b", "\".\" or \"..\""),
        ("a%00b", "U+0000"),
        ("a%0Ab", "U+000A"),
        ("%F0%9F%A6%80", "U+1F980"),
        ("%FF", "not UTF-8"),
        ("a%", "%25"),
        ("a%zz", "%25"),
        ("a%2", "%25"),
    ] {
        for message in [
            http.put(&format!("/v1/nodes/{sent}"), "").await.error(400),
            http.delete(&format!("/v1/nodes/{sent}")).await.error(400),
        ] {
            assert!(message.contains(says), "{sent}: {message}");
        }
    }
    assert_eq!(zk.last_zxid(), before, "nothing is written");
}

#[tokio::test]
async fn data_may_be_longer_than_other_bodies() {
    let (_zk, http, _) = start_with(ZkMini::builder(), Settings::default().max_body(100)).await;
    for path in ["/v1/nodes/a", "/v1/nodes/", "/v1/nodes"] {
        let answer = http.put(path, vec![b'x'; 200]).await;
        assert!(matches!(answer.status, 200 | 201), "{path}: {}", answer.text());
    }
    http.post("/v1/clock", json!({ "mode": "x".repeat(200) })).await.error(413);
}

#[tokio::test]
async fn data_that_no_client_could_send_are_refused_with_the_limit() {
    let (zk, http) = start(ZkMini::builder().jute_max_buffer(10_000)).await;
    http.put("/v1/nodes/a", vec![b'x'; 10_000]).await.json(201);
    let message = http.put("/v1/nodes/a", vec![b'y'; 10_001]).await.error(413);
    assert!(message.contains("10000 bytes") && message.contains("jute.maxbuffer"), "{message}");
    let message = http.put("/v1/nodes/a", vec![b'y'; 20 << 20]).await.error(413);
    assert!(message.contains("10000 bytes"), "{message}");
    assert_eq!(zk.get("/a").unwrap().0, vec![b'x'; 10_000]);
    let (zk, http) = start(ZkMini::builder().jute_max_buffer(8 << 20)).await;
    http.put("/v1/nodes/large", vec![b'x'; 8 << 20]).await.json(201);
    assert_eq!(zk.get("/large").unwrap().0.len(), 8 << 20, "more than frameworks allow unless told");
}

#[tokio::test]
async fn chunked_data_are_taken_and_a_broken_upload_writes_nothing() {
    let (zk, http) = start(ZkMini::builder()).await;
    let head = format!("PUT /v1/nodes/a HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n", http.addr);
    let whole = format!("{head}transfer-encoding: chunked\r\n\r\n3\r\none\r\n4\r\n-two\r\n0\r\n\r\n");
    http.raw(whole.as_bytes()).await.json(201);
    assert_eq!(zk.get("/a").unwrap().0, "one-two");
    let broken = format!("{head}transfer-encoding: chunked\r\n\r\n3\r\ntwo\r\nnonsense\r\n");
    http.raw(broken.as_bytes()).await.error(400);
    assert_eq!(zk.get("/a").unwrap().0, "one-two");
}

#[tokio::test]
async fn a_node_with_children_is_deleted_only_with_them() {
    let (zk, http) = start(ZkMini::builder()).await;
    for path in ["/a/b/c", "/a/d"] {
        zk.create(path, "").parents().await.unwrap();
    }
    let message = http.delete("/v1/nodes/a").await.error(409);
    assert!(message.contains("2 children") && message.contains("?recursive=true"), "{message}");
    http.delete("/v1/nodes/a?recursive=false").await.error(409);
    let before = zk.last_zxid();
    let stat = http.get("/v1/tree?path=/a").await.json(200)["stat"].clone();
    let deleted = http.delete("/v1/nodes/a?recursive=true").await.json(200);
    assert_eq!(deleted, json!({"path": "/a", "stat": stat, "deleted": 4}));
    assert_eq!(zk.last_zxid(), before.next(), "one transaction");
    assert!(http.delete("/v1/nodes/a").await.error(404).contains("/a does not exist"));
    http.delete("/v1/nodes/a?recursive=true").await.error(404);
    let stat = http.put("/v1/nodes/leaf", "").await.json(201)["stat"].clone();
    let deleted = http.delete("/v1/nodes/leaf").await.json(200);
    assert_eq!(deleted, json!({"path": "/leaf", "stat": stat, "deleted": 1}));
    let message = http.delete("/v1/nodes/leaf?recusive=true").await.error(400);
    assert!(message.contains("`recursive`"), "{message}");
    let message = http.delete("/v1/nodes/leaf?recursive=yes").await.error(400);
    assert!(message.contains("recursive"), "{message}");
}

#[tokio::test]
async fn nodes_of_the_system_stay() {
    let (zk, http) = start(ZkMini::builder()).await;
    zk.create("/a", "").await.unwrap();
    for path in ["/v1/nodes/", "/v1/nodes", "/v1/nodes/zookeeper", "/v1/nodes/zookeeper/quota"] {
        for query in ["", "?recursive=true"] {
            let message = http.delete(&format!("{path}{query}")).await.error(400);
            assert!(message.contains("node of the system") && message.contains("/v1/reset"), "{message}");
        }
    }
    assert!(zk.get("/a").is_some());
    let message = http.put("/v1/nodes/zookeeper/quota/zookeeper_limits", "count=1").await.error(400);
    assert!(message.contains("quota on the root"), "{message}");
}

#[tokio::test]
async fn nodes_are_written_while_the_server_is_frozen() {
    let (zk, http) = start(ZkMini::builder()).await;
    zk.freeze();
    http.put("/v1/nodes/a", "1").await.json(201);
    http.delete("/v1/nodes/a").await.json(200);
    zk.thaw().await;
}

#[tokio::test]
async fn a_server_whose_disk_is_lost_refuses_writes_and_says_so() {
    let disk = SimulatedDisk::new(1);
    let (zk, http) = start(ZkMini::builder().data_dir("/data").disk(&disk)).await;
    http.put("/v1/nodes/a", "1").await.json(201);
    disk.set_full(true);
    let message = http.put("/v1/nodes/a", "2").await.error(503);
    assert!(message.contains("disk"), "{message}");
    zk.wait_for(|zk| zk.status().read_only, Duration::from_secs(20)).await.unwrap();
    for message in [
        http.put("/v1/nodes/b", "2").await.error(503),
        http.delete("/v1/nodes/a").await.error(503),
        http.delete("/v1/nodes/a?recursive=true").await.error(503),
    ] {
        assert!(message.contains("the disk of the server fails"), "{message}");
        assert!(message.ends_with("(no storage space)"), "{message}");
    }
    let message = http.post("/v1/reset", serde_json::Value::Null).await.error(503);
    assert!(message.ends_with("(no storage space)"), "{message}");
    assert_eq!(http.get("/v1/status").await.json(200)["read_only"], true);
    assert_eq!(http.get("/v1/tree?path=/a").await.json(200)["data"], "1");
}

#[tokio::test]
async fn the_history_names_the_client_who_wrote() {
    let (zk, http) = start(ZkMini::builder()).await;
    http.put("/v1/nodes/a", "").await.json(201);
    http.delete("/v1/nodes/a").await.json(200);
    for change in zk.explain("/a").changes {
        let client = change.client.unwrap();
        assert!(client.ip().is_loopback());
        assert!(
            change.because.contains(&format!("over HTTP by client {client}, without a session")),
            "{change:?}"
        );
    }
}
