//! `/v1/sessions`, `/v1/connections` and `/v1/watches`.

use serde_json::{Value, json};
use tokio::task::JoinSet;
use zk_client::{Client as ZkClient, CreateMode};
use zk_mini::{On, Then, ZkMini};

use crate::support::{Client, LIMIT, start};

async fn connected(zk: &ZkMini) -> ZkClient {
    ZkClient::connect(&zk.connect_string()).await.unwrap()
}

async fn only_session(http: Client) -> Value {
    let sessions = http.get("/v1/sessions").await.json(200);
    assert_eq!(sessions.as_array().unwrap().len(), 1);
    sessions[0].clone()
}

fn id(session: &Value) -> String {
    session["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_session_is_listed_with_what_it_has() {
    let (zk, http) = start(ZkMini::builder().manual_clock()).await;
    assert_eq!(http.get("/v1/sessions").await.json(200), json!([]));
    let client = connected(&zk).await;
    client.create("/leader", "me", CreateMode::Ephemeral).await.unwrap();
    let _watch = client.get_and_watch("/leader").await.unwrap();
    zk.advance(std::time::Duration::from_secs(1)).await;

    let (session, info) = (only_session(http).await, &zk.sessions()[0]);
    assert_eq!(session["id"], format!("{:#x}", info.id.0));
    assert_eq!(session["timeout_ms"], json!(u64::try_from(info.timeout.as_millis()).unwrap()));
    assert_eq!(session["connected"], true);
    assert_eq!(session["client"], info.client.unwrap().to_string());
    assert_eq!(session["last_heard_ms"], 1_000);
    assert_eq!(session["expires_in_ms"], json!(u64::try_from(info.expires_in.as_millis()).unwrap()));
    assert_eq!((&session["ephemerals"], &session["watches"]), (&json!(["/leader"]), &json!(1)));

    let connections = http.get("/v1/connections").await.json(200);
    let connection = &connections[0];
    assert_eq!((&connection["session"], &connection["id"]), (&session["id"], &session["connection"]));
    assert_eq!((&connection["client"], &connection["frozen"]), (&session["client"], &json!(false)));
    assert_eq!(connection["since_ms"], 1_577_836_800_000_i64, "when the manual clock began");

    let watches = http.get("/v1/watches?path=/leader").await.json(200);
    let watch = json!([{"path": "/leader", "kind": "data", "session": session["id"], "connection": connection["id"]}]);
    assert_eq!(watches, watch);
    assert_eq!(http.get("/v1/watches?path=/*/x").await.json(200), json!([]));
    assert!(http.get("/v1/watches?path=leader").await.error(400).contains("\"leader\""));
}

#[tokio::test]
async fn more_watches_than_an_answer_holds_are_an_error_unless_some_are_enough() {
    let (zk, http) = start(ZkMini::builder()).await;
    let client = connected(&zk).await;
    let mut asked = JoinSet::new();
    for n in 0..10_001 {
        let client = client.clone();
        asked.spawn(async move { client.exists_and_watch(&format!("/{n}")).await.unwrap().1 });
    }
    let _watches = asked.join_all().await;
    let message = http.get("/v1/watches").await.error(400);
    assert!(message.contains("10001 such watches") && message.contains("at most 10000"), "{message}");
    let count = async |query: &str| {
        let watches = http.get(&format!("/v1/watches?{query}")).await.json(200);
        watches.as_array().unwrap().len()
    };
    assert_eq!(count("limit=10000").await, 10_000);
    assert_eq!(count("path=/9*").await, 1_111);
}

#[tokio::test]
async fn an_expiry_is_answered_when_its_nodes_are_gone_and_its_watchers_are_told() {
    let (zk, http) = start(ZkMini::builder()).await;
    let (dying, watching) = (connected(&zk).await, connected(&zk).await);
    dying.create("/leader", "", CreateMode::Ephemeral).await.unwrap();
    let (_, _, mut watch) = watching.get_and_watch("/leader").await.unwrap();
    let session = zk.session_of("/leader").unwrap().id();
    // Any case, and leading zeros.
    let written = format!("0X0000{:X}", session.0);
    let ended = http.post(&format!("/v1/sessions/{written}/expire"), Value::Null).await.json(200);
    assert_eq!(ended, json!({"sessions": [format!("{:#x}", session.0)]}));
    assert!(zk.get("/leader").is_none() && zk.session(session).is_none());
    tokio::time::timeout(LIMIT, watch.changed()).await.unwrap().unwrap();
    let again = http.post(&format!("/v1/sessions/{written}/expire"), Value::Null).await.error(404);
    assert!(again.contains(&format!("{:#x}", session.0)), "{again}");
}

#[tokio::test]
async fn sessions_expire_by_what_they_own_or_all_at_once() {
    let (zk, http) = start(ZkMini::builder()).await;
    let none = json!({"sessions": []});
    assert_eq!(http.post("/v1/sessions/expire", json!({"all": true})).await.json(200), none);
    let clients = [connected(&zk).await, connected(&zk).await, connected(&zk).await];
    clients[0].create("/leader", "", CreateMode::Ephemeral).await.unwrap();
    zk.create("/persistent", "").await.unwrap();
    let expire = |body: Value| async move { http.post("/v1/sessions/expire", body).await };
    for (path, status, word) in [
        ("/nobody", 404, "no such node"),
        ("/persistent", 404, "not ephemeral"),
        ("leader", 400, "\"leader\" is no path"),
        ("/leader/", 400, "is no path"),
    ] {
        let message = expire(json!({"owner_of": path})).await.error(status);
        assert!(message.contains(word), "{message}");
    }
    for body in [json!({}), json!({"all": false}), json!({"all": true, "owner_of": "/leader"})] {
        assert!(expire(body).await.error(400).contains("{\"owner_of\":\"/path\"} or {\"all\":true}"));
    }
    assert!(
        expire(json!({"owner": "/leader"})).await.error(400).contains("owner_of"),
        "says what is allowed"
    );
    assert!(expire(json!({"all": 1})).await.error(400).contains("all: "), "says which field");

    let leader = format!("{:#x}", zk.session_of("/leader").unwrap().id().0);
    let ended = expire(json!({"owner_of": "/leader"})).await.json(200);
    assert_eq!(ended, json!({"sessions": [leader]}));
    let others: Vec<_> = zk.all_sessions().ids().iter().map(|id| format!("{:#x}", id.0)).collect();
    assert!(others.len() >= 2);
    let ended = expire(json!({"all": true})).await.json(200);
    let ended: Vec<_> = ended["sessions"].as_array().unwrap().iter().map(|id| id.as_str().unwrap()).collect();
    assert!(others.iter().all(|id| ended.contains(&id.as_str())), "{ended:?} {others:?}");
    drop(clients);
}

#[tokio::test]
async fn held_nodes_go_later_and_have_no_owner_meanwhile() {
    let (zk, http) = start(ZkMini::builder().manual_clock()).await;
    let client = connected(&zk).await;
    client.create("/leader", "", CreateMode::Ephemeral).await.unwrap();
    let _gap = zk.fault(On::expiry(), Then::hold_ephemerals(LIMIT));
    let ended = http.post("/v1/sessions/expire", json!({"owner_of": "/leader"})).await.json(200);
    assert_eq!(ended["sessions"].as_array().unwrap().len(), 1);
    assert!(zk.get("/leader").is_some());
    let message = http.post("/v1/sessions/expire", json!({"owner_of": "/leader"})).await.error(404);
    assert!(message.contains("has ended already"), "{message}");
    zk.advance(LIMIT).await;
    assert!(zk.get("/leader").is_none());
}

#[tokio::test]
async fn an_id_that_is_none_is_malformed_and_one_that_is_not_alive_unknown() {
    let (_zk, http) = start(ZkMini::builder()).await;
    for action in ["expire", "disconnect", "freeze", "thaw"] {
        for bad in ["12", "0x", "0xg", "me", "0x10000000000000000", "-0x1"] {
            let message = http.post(&format!("/v1/sessions/{bad}/{action}"), Value::Null).await.error(400);
            assert!(message.contains(bad) && message.contains("such as 0x1a2b"), "{message}");
        }
        let message = http.post(&format!("/v1/sessions/0x00A1/{action}"), Value::Null).await.error(404);
        assert!(message.contains("0xa1"), "{message}");
        let message = http.post(&format!("/v1/sessions/0xa1/{action}s"), Value::Null).await.error(404);
        assert!(message.contains("openapi.json"), "{message}");
    }
    for action in ["disconnect", "freeze", "thaw"] {
        http.post(&format!("/v1/connections/0xffff/{action}"), Value::Null).await.error(404);
        http.post(&format!("/v1/connections/x/{action}"), Value::Null).await.error(400);
    }
    assert_eq!(http.get("/v1/sessions/0xa1/expire").await.status, 405, "no GET changes anything");
}

#[tokio::test]
async fn a_disconnected_session_lives_on() {
    let (zk, http) = start(ZkMini::builder()).await;
    let _client = connected(&zk).await;
    let session = only_session(http).await;
    let path = format!("/v1/sessions/{}/disconnect", id(&session));
    assert_eq!(http.post(&path, Value::Null).await.json(200), json!({"sessions": [session["id"]]}));
    assert!(zk.connections().iter().all(|open| json!(format!("{:#x}", open.id.0)) != session["connection"]));
    assert_eq!(zk.sessions().len(), 1);

    zk.wait_for(|zk| !zk.connections().is_empty(), LIMIT).await.unwrap();
    let open = http.get("/v1/connections").await.json(200)[0]["id"].clone();
    let path = format!("/v1/connections/{}/disconnect", open.as_str().unwrap());
    assert_eq!(http.post(&path, Value::Null).await.json(200), json!({"connections": [open]}));
    http.post(&path, Value::Null).await.error(404);
}

#[tokio::test]
async fn a_frozen_session_is_silent_until_the_thaw_and_expires_as_time_goes() {
    let (zk, http) = start(ZkMini::builder().manual_clock()).await;
    let client = connected(&zk).await;
    let session = only_session(http).await;
    let of = |action: &str| format!("/v1/sessions/{}/{action}", id(&session));
    let affected = json!({"sessions": [session["id"]]});

    assert_eq!(http.post(&of("freeze"), Value::Null).await.json(200), affected);
    assert_eq!(only_session(http).await["frozen"], true);
    let asks = client.clone();
    let mut asked = tokio::spawn(async move { asks.exists("/").await });
    assert!(
        tokio::time::timeout(std::time::Duration::from_millis(50), &mut asked).await.is_err(),
        "no answer"
    );
    assert_eq!(http.post(&of("thaw"), Value::Null).await.json(200), affected);
    tokio::time::timeout(LIMIT, asked).await.unwrap().unwrap().unwrap();
    assert_eq!(only_session(http).await["frozen"], false);
    assert_eq!(http.post(&of("thaw"), Value::Null).await.json(200), affected, "again has no effect");

    http.post(&of("freeze"), Value::Null).await.json(200);
    http.post("/v1/clock", json!({"advance_ms": 600_000})).await.json(200);
    assert_eq!(http.get("/v1/sessions").await.json(200), json!([]), "it has expired");
    http.post(&of("freeze"), Value::Null).await.error(404);
    assert_eq!(http.post(&of("thaw"), Value::Null).await.json(200), affected, "its client hears of that now");
    http.post(&of("thaw"), Value::Null).await.error(404);
}

#[tokio::test]
async fn a_frozen_server_expires_on_demand() {
    let (zk, http) = start(ZkMini::builder()).await;
    let _client = connected(&zk).await;
    let session = only_session(http).await;
    zk.freeze();
    assert_eq!(only_session(http).await["frozen"], true);
    let path = format!("/v1/sessions/{}/expire", id(&session));
    assert_eq!(http.post(&path, Value::Null).await.json(200), json!({"sessions": [session["id"]]}));
    assert!(zk.sessions().is_empty());
}

#[tokio::test]
async fn a_frozen_server_answers_all_questions_and_takes_rules_and_time() {
    let (zk, http) = start(ZkMini::builder().manual_clock()).await;
    let _client = connected(&zk).await;
    zk.session(zk.sessions()[0].id).unwrap().freeze(); // so that no ping of its client is handled after the thaw
    http.post("/v1/freeze", Value::Null).await.json(200);
    for path in ["sessions", "connections", "watches", "clock", "faults", "history", "explain?path=/"] {
        http.get(&format!("/v1/{path}")).await.json(200);
    }
    let rule = json!({"when": {"expiry": true}, "then": {"hold_ephemerals_ms": 1}});
    http.post("/v1/faults", rule).await.json(200);
    http.post("/v1/clock", json!({"advance_ms": 600_000})).await.json(200);
    assert_eq!(zk.sessions().len(), 1, "nobody expires");
    http.post("/v1/thaw", Value::Null).await.json(200);
    assert!(zk.sessions().is_empty());
}
