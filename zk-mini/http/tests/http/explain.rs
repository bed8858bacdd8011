//! `GET /v1/explain`.

use serde_json::json;
use zk_client::{Client as ZkClient, CreateMode, Expected};
use zk_mini::ZkMini;

use crate::support::start;

#[tokio::test]
async fn an_ephemeral_node_is_explained_until_the_expiry_of_its_session() {
    let (zk, http) = start(ZkMini::builder().manual_clock()).await;
    let client = ZkClient::connect(&zk.connect_string()).await.unwrap();
    client.create("/a", "1", CreateMode::Ephemeral).await.unwrap();
    client.set("/a", "2", Expected::Any).await.unwrap();
    let (session, peer) = (zk.sessions()[0].id, zk.sessions()[0].client.unwrap().to_string());
    let id = format!("{:#x}", session.0);
    zk.session(session).unwrap().freeze();
    http.post("/v1/clock", json!({"advance_ms": 600_000})).await.json(200);

    let explained = http.get("/v1/explain?path=/a").await.json(200);
    assert_eq!(
        (&explained["path"], &explained["exists"], &explained["is_cut"]),
        (&json!("/a"), &json!(false), &json!(false))
    );
    let history = explained["history"].as_array().unwrap();
    let what: Vec<_> = history.iter().map(|change| change["what"].as_str().unwrap()).collect();
    assert_eq!(what, ["created", "changed", "deleted"], "oldest first");
    for change in history {
        assert_eq!((&change["session"], &change["client"]), (&json!(id), &json!(peer)), "{change}");
        assert!(change["zxid"].as_str().unwrap().starts_with("0x"));
    }
    assert!(history[0]["xid"].is_i64() && history[2]["xid"].is_null(), "nobody asked for the deletion");
    assert_eq!(history[0]["time"], "2020-01-01T00:00:00.000Z");
    let because = history[2]["because"].as_str().unwrap();
    assert!(because.contains(&id) && because.contains("expired"), "{because}");
}

#[tokio::test]
async fn only_changes_of_the_node_itself_are_listed() {
    let (zk, http) = start(ZkMini::builder()).await;
    zk.create("/a", "").await.unwrap();
    zk.create("/a/b", "").await.unwrap();
    zk.create("/ab", "").await.unwrap();
    let explained = http.get("/v1/explain?path=%2Fa").await.json(200);
    assert_eq!((&explained["exists"], explained["history"].as_array().unwrap().len()), (&json!(true), 1));
    assert!(explained["history"][0]["session"].is_null(), "no session has created it");
}

#[tokio::test]
async fn an_unknown_path_does_not_exist_and_a_malformed_one_is_refused() {
    let (_zk, http) = start(ZkMini::builder()).await;
    let unknown = json!({"path": "/x", "exists": false, "history": [], "is_cut": false});
    assert_eq!(http.get("/v1/explain?path=/x").await.json(200), unknown);
    assert_eq!(http.get("/v1/explain?path=/").await.json(200)["exists"], true);
    for (query, word) in [
        ("?path=x", "\"x\" is no path"),
        ("?path=/x/", "is no path"),
        ("?path=/x//y", "is no path"),
        ("?path=/a/../b", "is no path"),
        ("?path=", "is no path"),
        ("", "`path` is missing"),
        ("?paths=/x", "unknown field `paths`, expected `path`"),
        ("?path=/a%00b", "is no path"),
    ] {
        let message = http.get(&format!("/v1/explain{query}")).await.error(400);
        assert!(message.contains(word), "{query}: {message}");
    }
}
