//! `GET /v1/tree`.

use serde_json::{Value, json};
use zk_client::{Client, CreateMode};
use zk_mini::ZkMini;
use zk_wire::Zxid;

use crate::support::start;

fn names(node: &Value) -> Vec<&str> {
    node["children"].as_array().unwrap().iter().map(|child| child["name"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_node_is_shown_with_its_data_and_its_whole_stat() {
    let (zk, http) = start(ZkMini::builder().manual_clock()).await;
    zk.create("/services/echo", "127.0.0.1:8080").parents().await.unwrap();
    zk.set("/services/echo", "127.0.0.1:9090").await.unwrap();
    let node = http.get("/v1/tree?path=/services/echo&depth=0").await.json(200);
    let stat = zk.get("/services/echo").unwrap().1;
    let expected = json!({
        "path": "/services/echo", "name": "echo", "data": "127.0.0.1:9090", "encoding": "utf8", "kind": "persistent", "watches": 0,
        "stat": {
            "czxid": "0x1", "mzxid": "0x2", "ctime": stat.ctime.0, "mtime": stat.mtime.0, "version": 1, "cversion": 0,
            "aversion": 0, "ephemeralOwner": "0x0", "dataLength": 14, "numChildren": 0, "pzxid": "0x1",
        },
        "children": [],
    });
    assert_eq!(node, expected);
}

#[tokio::test]
async fn without_parameters_it_is_the_root_with_its_children() {
    let (zk, http) = start(ZkMini::builder()).await;
    zk.create("/b/deep", "").parents().await.unwrap();
    zk.create("/a", "").await.unwrap();
    let root = http.get("/v1/tree").await.json(200);
    assert_eq!((&root["path"], &root["name"]), (&"/".into(), &"/".into()));
    assert_eq!(names(&root), ["a", "b", "zookeeper"]);
    let b = &root["children"][1];
    assert_eq!((&b["children"], &b["stat"]["numChildren"]), (&json!([]), &1.into()));
    assert_eq!(http.get("/v1/tree?depth=0").await.json(200)["children"], json!([]));
    let deep = http.get("/v1/tree?path=/&depth=18446744073709551615").await.json(200);
    assert_eq!(names(&deep["children"][1]), ["deep"]);
    assert_eq!(names(&deep["children"][2]), ["config", "quota"]);
}

#[tokio::test]
async fn data_are_text_or_base64_or_null() {
    let (zk, http) = start(ZkMini::builder()).await;
    zk.create("/text", "zwölf \"quotes\"\n").await.unwrap();
    zk.create("/empty", "").await.unwrap();
    zk.create("/binary", vec![0xff, 0, 0xfe]).await.unwrap();
    let tree = zk_mini::TreeFile::parse("/null: {data: null}").unwrap();
    zk.load(&tree).await.unwrap();
    let root = http.get("/v1/tree").await.json(200);
    let shown: Vec<_> = root["children"].as_array().unwrap().iter().take(4).collect();
    let shown: Vec<_> = shown.iter().map(|node| (&node["name"], &node["data"], &node["encoding"])).collect();
    let expected = [
        (json!("binary"), json!("/wD+"), json!("base64")),
        (json!("empty"), json!(""), json!("utf8")),
        (json!("null"), Value::Null, json!("null")),
        (json!("text"), json!("zwölf \"quotes\"\n"), json!("utf8")),
    ];
    let expected: Vec<_> = expected.iter().map(|(name, data, encoding)| (name, data, encoding)).collect();
    assert_eq!(shown, expected);
    assert!(String::from_utf8(http.get("/v1/tree?path=/null").await.body).unwrap().contains("\"data\":null"));
}

#[tokio::test]
async fn the_owner_the_kind_and_the_watches_of_a_node_are_shown() {
    let (zk, http) = start(ZkMini::builder().extended_types(true)).await;
    let client = Client::connect(&zk.connect_string()).await.unwrap();
    client.create("/leader", "me", CreateMode::Ephemeral).await.unwrap();
    let _watch = client.get_and_watch("/leader").await.unwrap();
    zk.create("/queue", "").container().await.unwrap();
    zk.create("/lease", "").ttl(std::time::Duration::from_secs(60)).await.unwrap();
    let leader = http.get("/v1/tree?path=/leader").await.json(200);
    let owner = format!("{:#x}", zk.sessions()[0].id.0);
    assert_eq!(leader["stat"]["ephemeralOwner"], owner);
    assert_eq!((&leader["kind"], &leader["watches"]), (&"ephemeral".into(), &1.into()));
    assert_eq!(http.get("/v1/tree?path=/queue").await.json(200)["kind"], "container");
    let lease = http.get("/v1/tree?path=/lease").await.json(200);
    assert_eq!((&lease["kind"], &lease["ttl_ms"]), (&"ttl".into(), &60_000.into()));
    client.close().await.unwrap();
}

#[tokio::test]
async fn the_tree_is_shown_as_it_was_after_a_transaction() {
    let (zk, http) = start(ZkMini::builder().manual_clock()).await;
    zk.create("/config/limit", "10").parents().await.unwrap();
    let then = http.get("/v1/tree?path=/config&depth=2").await.json(200);
    zk.set("/config/limit", "20").await.unwrap();
    zk.create("/config/new", "").await.unwrap();
    zk.delete("/config/limit").await.unwrap();
    for zxid in ["0x1", "0X0000000000000000000001"] {
        let shown = http.get(&format!("/v1/tree?path=/config&depth=2&zxid={zxid}")).await.json(200);
        assert_eq!(shown, then);
    }
    let set = http.get("/v1/tree?path=/config&zxid=0x3").await.json(200);
    assert_eq!(names(&set), ["limit", "new"]);
    assert_eq!(set["children"][0]["data"], "20");
    assert_eq!(set["stat"]["numChildren"], 2);
    assert_eq!(names(&http.get("/v1/tree?path=/config").await.json(200)), ["new"]);
    let gone = http.get("/v1/tree?path=/config/new&zxid=0x2").await.error(404);
    assert_eq!(gone, "/config/new did not exist after transaction 0x2");
}

#[tokio::test]
async fn a_zxid_that_is_no_longer_kept_is_gone_and_a_later_one_is_an_error() {
    let (zk, http) = start(ZkMini::builder().manual_clock().history(2)).await;
    zk.create("/a", "").await.unwrap();
    for _ in 0..2_000 {
        zk.set("/a", vec![b'x'; 1_000]).await.unwrap();
    }
    let message = http.get("/v1/tree?zxid=0x1").await.error(410);
    let oldest = message.split_once(": ").and_then(|(_, rest)| rest.split(' ').next()).unwrap();
    http.get(&format!("/v1/tree?zxid={oldest}")).await.json(200);
    let later = zk.last_zxid().next();
    let message = http.get(&format!("/v1/tree?zxid={:#x}", later.0)).await.error(400);
    assert!(message.contains(&format!("{:#x} is the last one", zk.last_zxid().0)), "{message}");
    let (silent, http) = start(ZkMini::builder().without_history()).await;
    assert_ne!(silent.last_zxid(), Zxid(0));
    let message = http.get("/v1/tree?zxid=0x1").await.error(409);
    assert!(message.contains("no history"), "{message}");
}

#[tokio::test]
async fn a_bad_question_is_answered_with_what_is_allowed() {
    let (_zk, http) = start(ZkMini::builder()).await;
    for (query, status, says) in [
        ("path=/nowhere", 404, "/nowhere does not exist"),
        ("path=nowhere", 400, "does not begin with \"/\""),
        ("path=", 400, "the root is \"/\""),
        ("path=/a/", 400, "ends with \"/\""),
        ("path=/a//b", 400, "empty component"),
        ("path=/a/../b", 400, "\"..\""),
        ("path=/%00", 400, "U+0000"),
        ("path=/%f0%9f%a6%80", 400, "U+1F980"),
        ("depth=-1", 400, "depth: it is a whole number, 0 or more"),
        ("depth=two", 400, "depth: it is a whole number, 0 or more"),
        ("zxid=17", 400, "0x1a2b"),
        ("zxid=0xg", 400, "0x1a2b"),
        ("dept=1", 400, "expected one of `path`, `depth`, `zxid`"),
    ] {
        let message = http.get(&format!("/v1/tree?{query}")).await.error(status);
        assert!(message.contains(says) && !message.contains("deserialize"), "{query}: {message}");
    }
}

#[tokio::test]
async fn a_tree_that_is_too_large_or_too_deep_for_an_answer_is_refused() {
    let (zk, http) = start(ZkMini::builder()).await;
    let deep = "/d".repeat(100);
    zk.create(&deep, "").parents().await.unwrap();
    let message = http.get("/v1/tree?depth=1000").await.error(400);
    assert!(message.contains("depth may be 60"), "{message}");
    http.get("/v1/tree?depth=60").await.json(200);
    http.get(&format!("/v1/tree?path={}&depth=1000", &deep[..80])).await.json(200);
    for n in 0..40 {
        zk.create(&format!("/large/{n}"), vec![b'x'; 1 << 20]).parents().await.unwrap();
    }
    let message = http.get("/v1/tree?path=/large").await.error(400);
    assert!(message.contains("33554432 bytes") && message.contains("fewer levels"), "{message}");
    let one = http.get("/v1/tree?path=/large/1").await.json(200);
    assert_eq!(one["data"].as_str().unwrap().len(), 1 << 20);
}

#[tokio::test]
async fn ten_thousand_nodes_fit_an_answer() {
    let (zk, http) = start(ZkMini::builder()).await;
    for n in 0..10_000 {
        zk.create(&format!("/many/{}/{n}", n % 10), "data").parents().await.unwrap();
    }
    let tree = http.get("/v1/tree?path=/many&depth=2").await.json(200);
    let count: usize = tree["children"].as_array().unwrap().iter().map(|child| names(child).len()).sum();
    assert_eq!(count, 10_000);
}
