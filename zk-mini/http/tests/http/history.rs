//! `GET /v1/history`.

use serde_json::{Value, json};
use zk_client::{Client as ZkClient, CreateMode};
use zk_mini::{On, Then, ZkMini};

use crate::support::{Client, start};

/// Returns the numbers of the entries that are answered.
async fn seqs(http: Client, query: &str) -> Vec<u64> {
    let entries = http.get(&format!("/v1/history{query}")).await.json(200);
    entries.as_array().unwrap().iter().map(|entry| entry["seq"].as_u64().unwrap()).collect()
}

#[tokio::test]
async fn an_entry_tells_who_did_what_and_absent_fields_are_null() {
    let (zk, http) = start(ZkMini::builder().manual_clock()).await;
    assert_eq!(http.get("/v1/history").await.json(200), json!([]), "asking leaves no trace");
    let client = ZkClient::connect(&zk.connect_string()).await.unwrap();
    client.create("/a", "", CreateMode::Persistent).await.unwrap();
    assert!(client.create("/a", "", CreateMode::Persistent).await.is_err());
    zk.freeze();
    let session = format!("{:#x}", zk.sessions()[0].id.0);

    let entries = http.get("/v1/history").await.json(200);
    let kinds: Vec<_> =
        entries.as_array().unwrap().iter().map(|entry| entry["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["connect", "transaction", "request", "request", "server"]);
    for (at, entry) in entries.as_array().unwrap().iter().enumerate() {
        assert_eq!(
            (entry["seq"].as_u64(), &entry["time"]),
            (Some(at as u64 + 1), &json!("2020-01-01T00:00:00.000Z"))
        );
        assert!(entry["zxid"].as_str().unwrap().starts_with("0x"));
        let fields = ["seq", "zxid", "time", "kind", "session", "path", "what", "because"];
        assert!(fields.iter().all(|field| entry.get(field).is_some()), "{entry}");
    }
    let created = &entries[1];
    assert_eq!(
        (&created["session"], &created["path"], &created["what"]),
        (&json!(session), &json!("/a"), &json!("created"))
    );
    let failed = &entries[3];
    assert_eq!((&failed["path"], &failed["error"]), (&json!("/a"), &json!("NODEEXISTS")));
    let frozen = &entries[4];
    assert_eq!(
        (&frozen["what"], &frozen["session"], &frozen["path"]),
        (&json!("frozen"), &Value::Null, &Value::Null)
    );
}

#[tokio::test]
async fn the_latest_entries_are_answered_and_earlier_and_later_pages_are_asked_for_by_number() {
    let (zk, http) = start(ZkMini::builder()).await;
    for n in 1..=2_500 {
        zk.create(&format!("/{n}"), "").await.unwrap();
    }
    zk.create("/1/x", "").await.unwrap();
    let range = |from: u64, to: u64| (from..=to).collect::<Vec<_>>();
    // The history of a server in a test keeps 1,000.
    assert_eq!(seqs(http, "").await, range(1_502, 2_501));
    assert_eq!(seqs(http, "?limit=3").await, range(2_499, 2_501));
    assert_eq!(seqs(http, "?limit=3&before_seq=2499").await, range(2_496, 2_498));
    assert_eq!(seqs(http, "?limit=3&since_seq=2000").await, range(2_001, 2_003));
    assert_eq!(seqs(http, "?since_seq=2000&before_seq=2003").await, [2_001, 2_002]);
    assert_eq!(seqs(http, "?since_seq=0&limit=2").await, [1_502, 1_503], "the oldest that are kept");
    assert_eq!(seqs(http, "?since_seq=2501").await, [0; 0]);
    assert_eq!(seqs(http, "?before_seq=1").await, [0; 0]);
    let zxid = http.get("/v1/history?since_seq=2499").await.json(200)[0]["zxid"].as_str().unwrap().to_owned();
    assert_eq!(seqs(http, &format!("?since={zxid}")).await, [2_501], "after the transaction");
    assert_eq!(
        seqs(http, &format!("?since=0X00{}&path=&session=&limit=", zxid[2..].to_uppercase())).await,
        [2_501]
    );
    assert_eq!(seqs(http, "?since=0x0&limit=1").await, [1_502], "from the oldest on");
    assert_eq!(seqs(http, "?path=/1/*").await, [2_501]);
    assert_eq!(seqs(http, "?path=/1/x").await, [2_501]);
    assert_eq!(seqs(http, "?path=/1").await, [0; 0], "pushed out");
    assert_eq!(seqs(http, "?path=/1500&since=0x0").await.len(), 0);
    assert_eq!(seqs(http, "?path=/1600").await, [1_600]);
}

#[tokio::test]
async fn entries_are_chosen_by_session_and_kind() {
    let (zk, http) = start(ZkMini::builder()).await;
    let _other = ZkClient::connect(&zk.connect_string()).await.unwrap();
    let client = ZkClient::connect(&zk.connect_string()).await.unwrap();
    client.create("/a", "", CreateMode::Ephemeral).await.unwrap();
    let session = zk.session_of("/a").unwrap();
    let id = format!("{:#x}", session.id().0);
    let _rule = zk.fault(On::exists("/a"), Then::disconnect());
    let _ = client.exists("/a").await;
    session.expire().await;

    let of_session =
        http.get(&format!("/v1/history?session={}", id.to_uppercase().replace('X', "x"))).await.json(200);
    assert!(of_session.as_array().unwrap().iter().all(|entry| entry["session"] == json!(id)));
    let ends = http.get(&format!("/v1/history?session={id}&kind=expiry,fault")).await.json(200);
    let ends: Vec<_> =
        ends.as_array().unwrap().iter().map(|entry| entry["kind"].as_str().unwrap().to_owned()).collect();
    assert_eq!(ends, ["fault", "expiry"]);
}

#[tokio::test]
async fn a_parameter_that_is_wrong_is_named() {
    let (_zk, http) = start(ZkMini::builder()).await;
    for (query, word) in [
        ("since=12", "\"12\" is no id"),
        ("since_seq=0x1", "since_seq is \"0x1\""),
        ("before_seq=-1", "before_seq is \"-1\""),
        ("limit=0", "from 1 to 10000"),
        ("limit=10001", "limit is 10001"),
        ("limit=%2B1", "limit is \"+1\""),
        ("limit=99999999999999999999999", "limit is"),
        ("path=a", "\"a\" is no pattern of paths"),
        ("path=/**/a", "is no pattern of paths"),
        ("session=me", "\"me\" is no id"),
        ("kind=pings", "\"pings\" is no kind of entry; kinds are request, transaction"),
        ("sesion=0x1", "unknown field `sesion`, expected one of"),
    ] {
        let message = http.get(&format!("/v1/history?{query}")).await.error(400);
        assert!(message.contains(word), "{query}: {message}");
    }
}
