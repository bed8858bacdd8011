//! `GET /v1/diff`, and trees without data.

use serde_json::json;
use zk_mini::ZkMini;

use crate::support::start;

#[tokio::test]
async fn two_moments_tell_what_changed_between_them() {
    let (zk, http) = start(ZkMini::builder()).await;
    for (path, data) in [("/same", "s"), ("/set", "old"), ("/gone", "g"), ("/again", "1")] {
        zk.create(path, data).await.unwrap();
    }
    let before = zk.last_zxid();
    zk.set("/set", "new").await.unwrap();
    zk.delete("/gone").await.unwrap();
    zk.create("/born", vec![0xff]).await.unwrap();
    zk.delete("/again").await.unwrap();
    zk.create("/again", "1").await.unwrap();

    let diff = http.get(&format!("/v1/diff?from={before}")).await.json(200);
    let side = |data: &str| json!({"data": data, "encoding": "utf8"});
    let born = json!({"data": "/w==", "encoding": "base64"});
    assert_eq!(
        diff,
        json!({"more": 0, "changes": [
            {"path": "/again", "what": "replaced", "before": side("1"), "after": side("1")},
            {"path": "/born", "what": "created", "before": null, "after": born},
            {"path": "/gone", "what": "deleted", "before": side("g"), "after": null},
            {"path": "/set", "what": "changed", "before": side("old"), "after": side("new")},
        ]})
    );
    let back = http.get(&format!("/v1/diff?from={}&to={before}&limit=2", zk.last_zxid())).await.json(200);
    assert_eq!((&back["more"], &back["changes"][1]["what"]), (&2.into(), &"deleted".into()));
}

#[tokio::test]
async fn moments_that_are_not_known_are_refused() {
    let (zk, http) = start(ZkMini::builder()).await;
    assert!(
        http.get("/v1/diff?from=0x7fffffffffffffff").await.error(400).contains("there is no transaction")
    );
    assert!(http.get("/v1/diff?from=0x0").await.error(410).contains("is the oldest that can be asked for"));
    assert!(http.get("/v1/diff?from=7").await.error(400).contains("0x1a2b"));
    assert!(http.get("/v1/diff").await.error(400).contains("from"));
    drop(zk);
    let (_zk, http) = start(ZkMini::builder().without_history()).await;
    assert!(http.get("/v1/diff?from=0x0").await.error(409).contains("records no history"));
}

#[tokio::test]
async fn an_optional_node_that_is_not_there_is_null() {
    let (zk, http) = start(ZkMini::builder()).await;
    let before = zk.last_zxid();
    zk.create("/a", "").await.unwrap();
    for absent in ["/v1/tree?path=/b&optional=true", &format!("/v1/tree?path=/a&zxid={before}&optional=true")]
    {
        assert_eq!(http.get(absent).await.json(200), json!(null));
    }
    assert_eq!(http.get("/v1/tree?path=/a&optional=true").await.json(200)["path"], "/a");
    http.get("/v1/tree?path=b&optional=true").await.error(400);
}

#[tokio::test]
async fn a_tree_without_data_has_no_limit_of_bytes() {
    let (zk, http) = start(ZkMini::builder()).await;
    for number in 0..40 {
        zk.create(&format!("/large-{number:02}"), vec![b'x'; 1 << 20]).await.unwrap();
    }
    assert!(http.get("/v1/tree").await.error(400).contains("bytes"));
    let tree = http.get("/v1/tree?data=false").await.json(200);
    let large = &tree["children"][0];
    assert_eq!((&large["data"], &large["encoding"]), (&json!(null), &"omitted".into()));
    assert_eq!(large["stat"]["dataLength"], 1 << 20);
}
