//! `/v1/clock`.

use serde_json::{Value, json};
use zk_client::{Client as ZkClient, CreateMode};
use zk_mini::ZkMini;

use crate::support::start;

#[tokio::test]
async fn a_real_clock_becomes_manual_at_the_present_time_and_real_again() {
    let (zk, http) = start(ZkMini::builder()).await;
    let real = http.get("/v1/clock").await.json(200);
    assert_eq!(
        (&real["mode"], &real["tick_ms"], &real["next_deadline_ms"]),
        (&json!("real"), &json!(2_000), &Value::Null)
    );
    assert!(
        http.post("/v1/clock", json!({"advance_ms": 1})).await.error(409).contains("{\"mode\":\"manual\"}")
    );
    http.post("/v1/clock", json!({"advance_ticks": 1})).await.error(409);
    http.post("/v1/clock", json!({"to_next_deadline": true})).await.error(409);

    let held = http.post("/v1/clock", json!({"mode": "manual"})).await.json(200);
    assert_eq!(held["mode"], "manual");
    assert!(
        held["now_ms"].as_i64() >= real["now_ms"].as_i64()
            && held["monotonic_ms"].as_u64() >= real["monotonic_ms"].as_u64()
    );
    assert_eq!(http.get("/v1/clock").await.json(200), held, "it stands still");
    assert_eq!(
        http.post("/v1/clock", json!({"mode": "manual"})).await.json(200),
        held,
        "again has no effect"
    );
    let moved = http.post("/v1/clock", json!({"advance_ms": 5})).await.json(200);
    assert_eq!(moved["now_ms"], held["now_ms"].as_i64().unwrap() + 5);

    assert_eq!(http.post("/v1/clock", json!({"mode": "real"})).await.json(200)["mode"], "real");
    assert!(!zk.is_clock_held());
}

#[tokio::test]
async fn an_advance_is_answered_when_all_that_it_caused_has_happened() {
    let (zk, http) = start(ZkMini::builder().manual_clock()).await;
    let start = http.get("/v1/clock").await.json(200);
    assert_eq!(
        (&start["now"], &start["now_ms"]),
        (&json!("2020-01-01T00:00:00.000Z"), &json!(1_577_836_800_000_i64))
    );
    let client = ZkClient::connect(&zk.connect_string()).await.unwrap();
    client.create("/leader", "", CreateMode::Ephemeral).await.unwrap();
    zk.session_of("/leader").unwrap().freeze(); // so that its client sends no ping

    let still = http.post("/v1/clock", json!({"advance_ms": 0})).await.json(200);
    assert_eq!((&still["now"], &still["advanced_ms"]), (&start["now"], &json!(0)));
    let due = still["next_deadline_ms"].as_u64().unwrap();
    let before = http.post("/v1/clock", json!({"advance_ms": due - 1})).await.json(200);
    assert_eq!((&before["next_deadline_ms"], zk.sessions().len()), (&json!(1), 1));
    let after = http.post("/v1/clock", json!({"to_next_deadline": true})).await.json(200);
    assert_eq!((&after["advanced_ms"], &after["next_deadline_ms"]), (&json!(1), &Value::Null));
    assert!(zk.sessions().is_empty() && zk.get("/leader").is_none());
    let nothing = http.post("/v1/clock", json!({"to_next_deadline": true})).await.json(200);
    assert_eq!(
        (&nothing["advanced_ms"], &nothing["now"]),
        (&json!(0), &after["now"]),
        "nothing will ever happen"
    );
    assert_eq!(http.post("/v1/clock", json!({"advance_ticks": 3})).await.json(200)["advanced_ms"], 6_000);
}

#[tokio::test]
async fn clients_on_the_clock_of_the_server_move_with_it() {
    let (zk, http) = start(ZkMini::builder().manual_clock()).await;
    let client = ZkClient::builder().servers(zk.connect_string()).clock(zk.clock()).connect().await.unwrap();
    let next = http.get("/v1/clock").await.json(200)["next_deadline_ms"].as_u64().unwrap();
    assert!(next < 10_000, "its ping, and not its expiry: {next}");
    let pinged = http.post("/v1/clock", json!({"to_next_deadline": true})).await.json(200);
    assert_eq!(pinged["advanced_ms"], next);
    http.post("/v1/clock", json!({"advance_ms": 600_000})).await.json(200);
    assert_eq!(zk.sessions()[0].id, client.credentials().unwrap().id);
}

#[tokio::test]
async fn the_wall_clock_jumps_alone() {
    let (_zk, http) = start(ZkMini::builder().manual_clock()).await;
    let back = http.post("/v1/clock", json!({"jump_wall_ms": -1_000})).await.json(200);
    assert_eq!((&back["now"], &back["monotonic_ms"]), (&json!("2019-12-31T23:59:59.000Z"), &json!(0)));
    let ahead = http.post("/v1/clock", json!({"jump_wall_ms": 61_000})).await.json(200);
    assert_eq!(ahead["now"], "2020-01-01T00:01:00.000Z");
    http.post("/v1/clock", json!({"jump_wall_ms": i64::MIN})).await.error(400);
}

#[tokio::test]
async fn a_change_that_is_none_is_refused_and_moves_nothing() {
    let (_zk, http) = start(ZkMini::builder().manual_clock()).await;
    let before = http.get("/v1/clock").await.json(200);
    let cases = [
        (json!({"advance_ms": -1}), "advance_ms: invalid type: integer `-1`, expected a whole number"),
        (
            json!({"advance_ms": 1.5}),
            "advance_ms: invalid type: floating point `1.5`, expected a whole number",
        ),
        (json!({"advance_ms": 1e300}), "advance_ms: "),
        (json!({"advance_ms": "5"}), "advance_ms: invalid type: string \"5\", expected a whole number"),
        (json!({"advance_ms": u64::MAX}), "at most 3155760000000 ms"),
        (json!({"advance_ms": 3_155_760_000_001_u64}), "100 years"),
        (json!({"advance_ticks": u64::MAX}), "advance_ticks moves the clock too far"),
        (json!({"mode": "fast"}), "expected `manual` or `real`"),
        (json!({"advance": 5}), "unknown field `advance`, expected one of `mode`, `advance_ms`"),
        (json!({}), "say one thing"),
        (json!({"mode": "manual", "advance_ms": 5}), "say one thing"),
        (json!({"to_next_deadline": false}), "say one thing"),
        (json!([1, 2]), "the body is not as expected"),
    ];
    for (body, wanted) in cases {
        let message = http.post("/v1/clock", body.clone()).await.error(400);
        assert!(message.contains(wanted), "{body}: {message}");
    }
    for (body, wanted) in [
        ("", "empty"),
        ("{", "not JSON"),
        ("manual", "not JSON"),
        ("{\"advance_ms\":1} {}", "more than one"),
        ("{\"advance_ms\":1,\"advance_ms\":2}", "not as expected"),
    ] {
        let json = [("content-type", "application/json")];
        let message = http.send("POST", "/v1/clock", &json, body.as_bytes()).await.error(400);
        assert!(message.contains(wanted), "{body}: {message}");
    }
    assert_eq!(http.get("/v1/clock").await.json(200), before);
}

#[tokio::test]
async fn a_century_takes_no_time() {
    let (zk, http) = start(ZkMini::builder().manual_clock().extended_types(true)).await;
    zk.create("/ttl", "").ttl(std::time::Duration::from_secs(3600)).await.unwrap();
    let after = http.post("/v1/clock", json!({"advance_ms": 3_155_760_000_000_u64})).await.json(200);
    assert_eq!(after["now"], "2120-01-02T00:00:00.000Z", "100 years of 365.25 days");
    assert!(zk.get("/ttl").is_none());
}
