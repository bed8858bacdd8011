//! `/v1/faults`.

use serde_json::{Value, json};
use zk_client::{Client as ZkClient, CreateMode, SessionState};
use zk_mini::{On, Then, ZkMini};

use crate::support::{Client, start};

async fn add(http: Client, when: Value, then: Value) -> Value {
    http.post("/v1/faults", json!({"when": when, "then": then})).await.json(200)
}

async fn refused(http: Client, when: Value, then: Value) -> String {
    http.post("/v1/faults", json!({"when": when, "then": then})).await.error(400)
}

#[tokio::test]
async fn a_rule_fires_is_listed_with_its_count_and_is_removed() {
    let (zk, http) = start(ZkMini::builder()).await;
    assert_eq!(http.get("/v1/faults").await.json(200), json!([]));
    let rule = json!({"op": "create", "path": "/services/**", "nth": 1});
    let added = add(http, rule.clone(), json!({"fail": "NONODE"})).await;
    assert_eq!((&added["fired"], &added["state"]), (&json!(0), &json!("active")));
    let id = added["id"].as_str().unwrap();

    let client = ZkClient::connect(&zk.connect_string()).await.unwrap();
    zk.create("/services", "").await.unwrap();
    let failed = client.create("/services/a", "", CreateMode::Persistent).await;
    assert!(failed.is_err() && zk.get("/services/a").is_none());
    let listed = http.get("/v1/faults").await.json(200);
    assert_eq!(listed.as_array().unwrap().len(), 1);
    assert_eq!(
        (&listed[0]["id"], &listed[0]["fired"], &listed[0]["state"]),
        (&json!(id), &json!(1), &json!("used_up"))
    );
    assert_eq!((&listed[0]["when"], &listed[0]["then"]), (&rule, &json!({"fail": "NONODE"})));
    assert_eq!(listed[0]["text"], "create of /services/**, the 1st: fail with NONODE");
    let shown = http.get(&format!("/v1/faults/{id}")).await.json(200);
    let hit = &shown["hits"][0];
    assert_eq!(
        (&shown["fired"], &hit["path"], &hit["kind"]),
        (&json!(1), &json!("/services/a"), &json!("request"))
    );

    let removed = http.delete(&format!("/v1/faults/{id}")).await.json(200);
    assert_eq!((&removed["id"], &removed["fired"]), (&json!(id), &json!(1)));
    assert!(http.delete(&format!("/v1/faults/{id}")).await.error(404).contains(id));
    http.get(&format!("/v1/faults/{id}")).await.error(404);
    http.delete("/v1/faults/first").await.error(400);
    http.delete("/v1/faults/0xffff").await.error(404);

    for _ in 0..3 {
        add(http, json!({"connect": true}), json!({"refuse": true})).await;
    }
    assert_eq!(http.delete("/v1/faults").await.json(200)["faults"].as_array().unwrap().len(), 3);
    assert!(zk.faults().is_empty());
    let last = add(http, json!({"connect": true}), json!({"refuse": true})).await;
    assert_eq!(
        (&last["id"], http.delete("/v1/faults/5").await.status),
        (&json!("0x5"), 200),
        "as the history writes it"
    );
}

#[tokio::test]
async fn every_rule_is_shown_as_it_was_sent() {
    let (zk, http) = start(ZkMini::builder()).await;
    let listener = zk.addr().unwrap().to_string();
    let rules = [
        (json!({"op": "*"}), json!({"delay_ms": 500})),
        (json!({"op": "*", "path": "/a/**"}), json!({"delay_reply_ms": 500})),
        (
            json!({"op": ["create", "delete"], "nth": 2, "every": 3, "times": 1}),
            json!({"drop": "before_apply"}),
        ),
        (json!({"op": "setData", "probability": 0.1, "seed": 7}), json!({"drop": "after_apply"})),
        (json!({"op": "getData", "session": "0x1a"}), json!({"silent": "before_apply"})),
        (json!({"op": "sync", "connection": "0x3"}), json!({"silent": "after_apply"})),
        (
            json!({"op": "multi", "listener": listener}),
            json!({"slow": {"latency_ms": 100, "bytes_per_second": 9}}),
        ),
        (json!({"event": "NodeDeleted", "path": "/a"}), json!({"drop_event": true})),
        (json!({"event": "*"}), json!({"delay_ms": 0})),
        (json!({"connect": true, "times": 2}), json!({"refuse": true})),
        (json!({"reattach": true, "session": "0xffffffffffffffff"}), json!({"refuse": true})),
        (json!({"expiry": true, "every": 2}), json!({"hold_ephemerals_ms": 30_000})),
        (json!({"op": "createSession"}), json!({"fail": "SESSIONEXPIRED"})),
    ];
    for (when, then) in rules {
        let added = add(http, when.clone(), then.clone()).await;
        assert_eq!((&added["when"], &added["then"]), (&when, &then));
    }
    let lenient = add(
        http,
        json!({"op": ["*"], "session": "0X001A", "path": null}),
        json!({"fail": "NOAUTH", "refuse": null}),
    )
    .await;
    assert_eq!(lenient["when"], json!({"op": "*", "session": "0x1a"}));
    let seedless = add(http, json!({"op": "*", "probability": 0.5}), json!({"delay_ms": 1})).await;
    assert_eq!(seedless["when"]["seed"], 0);
}

#[tokio::test]
async fn rules_made_in_rust_are_listed_too() {
    let (zk, http) = start(ZkMini::builder()).await;
    let _fault = zk.fault(On::any_event("/a/*").nth(4), Then::delay(std::time::Duration::from_micros(1)));
    let listed = http.get("/v1/faults").await.json(200);
    assert_eq!(listed[0]["when"], json!({"event": "*", "path": "/a/*", "nth": 4}));
    assert_eq!(listed[0]["then"], json!({"delay_ms": 1}), "rounded up");
}

#[tokio::test]
async fn what_is_wrong_with_a_rule_is_named_with_what_is_allowed() {
    let (_zk, http) = start(ZkMini::builder()).await;
    let (create, fail) = (json!({"op": "create"}), json!({"fail": "NONODE"}));
    let conditions = [
        (json!({"op": "crate"}), "\"crate\" is no operation; operations are create, "),
        (json!({"op": []}), "`op` is an empty list"),
        (json!({"op": ["create", "*"]}), "`op` has \"*\" beside other names"),
        (json!({"op": 1}), "the name of an operation, or a list of names"),
        (json!({"op": "create", "nth": 0}), "`nth` is 0: it is at least 1"),
        (json!({"op": "create", "every": 0}), "`every` is 0"),
        (json!({"op": "create", "times": 0}), "`times` is 0"),
        (json!({"op": "create", "nth": -1}), "when.nth: invalid type: integer `-1`, expected a whole number"),
        (json!({"op": "create", "probability": 1.5}), "1.5 is not a number from 0 to 1"),
        (json!({"op": "create", "probability": -0.1}), "from 0 to 1"),
        (json!({"op": "create", "seed": 1}), "`seed` goes with `probability`"),
        (json!({"op": "create", "path": "a"}), "\"a\" is not a glob"),
        (json!({"op": "create", "path": "/a/**/b"}), "\"**\" is not the whole of the last name"),
        (json!({"op": "create", "session": "12"}), "when.session: \"12\" is no id"),
        (
            json!({"op": "create", "session": 12}),
            "when.session: invalid type: integer `12`, expected an id as text",
        ),
        (json!({"op": "create", "listener": "10.0.0.1:1"}), "no listener at 10.0.0.1:1"),
        (json!({"op": "create", "pth": "/a"}), "unknown field `pth`, expected one of `op`, `event`"),
        (json!({"op": "create", "event": "*"}), "one of `op`, `event`, `connect`, `reattach` and `expiry`"),
        (json!({"op": "create", "connect": false}), "`connect` is true, or left out"),
        (json!({"path": "/a"}), "one of `op`, `event`"),
        (json!({}), "one of `op`, `event`"),
    ];
    for (when, wanted) in conditions {
        let message = refused(http, when.clone(), fail.clone()).await;
        assert!(message.contains(wanted), "{when}: {message}");
    }
    let effects = [
        (json!({}), "`then` says one of `fail`, `delay_ms`"),
        (json!({"fail": "NONODE", "delay_ms": 1}), "`then` says one of"),
        (json!({"drop": "after_apply", "silent": "after_apply"}), "`then` says one of"),
        (json!({"fail": "NO_NODE"}), "\"NO_NODE\" is no error code; codes are "),
        (json!({"fail": "OK"}), "OK"),
        (
            json!({"drop": "later"}),
            "then.drop: unknown variant `later`, expected `before_apply` or `after_apply`",
        ),
        (json!({"delay_ms": -5}), "then.delay_ms: invalid type: integer `-5`, expected a whole number"),
        (json!({"delay_ms": u64::MAX}), "100 years"),
        (json!({"refuse": true}), "\"refuse\" does not go with \"create\", which can fail"),
        (json!({"refuse": false}), "`refuse` is true, or left out"),
        (json!({"drop_event": true}), "does not go with \"create\""),
        (json!({"hold_ephemerals_ms": 1}), "does not go with \"create\""),
        (json!({"explode": true}), "unknown field `explode`, expected one of `fail`"),
        (json!({"slow": {}}), "then.slow: missing field `latency_ms`"),
        (json!({"slow": {"latency_ms": 1, "bytes_per_second": 0}}), "`bytes_per_second` is 0"),
    ];
    for (then, wanted) in effects {
        let message = refused(http, create.clone(), then.clone()).await;
        assert!(message.contains(wanted), "{then}: {message}");
    }
    for (when, then, wanted) in [
        (json!({"event": "NodeGone"}), json!({"drop_event": true}), "events are NodeCreated, NodeDeleted"),
        (json!({"event": "*"}), fail.clone(), "which can be dropped or delayed"),
        (json!({"connect": true, "path": "/a"}), json!({"refuse": true}), "connect has no path"),
        (json!({"expiry": true}), json!({"refuse": true}), "hold the ephemeral nodes"),
        (json!({"connect": true}), fail.clone(), "be refused"),
    ] {
        let message = refused(http, when.clone(), then).await;
        assert!(message.contains(wanted), "{when}: {message}");
    }
    assert!(
        http.post("/v1/faults", json!({"when": create})).await.error(400).contains("missing field `then`")
    );
    let unknown = http.post("/v1/faults", json!({"when": create, "then": fail, "if": 1})).await.error(400);
    assert!(unknown.contains("unknown field `if`, expected `when` or `then`"), "{unknown}");
    assert_eq!(http.get("/v1/faults").await.json(200), json!([]), "none of them was added");
}

#[tokio::test]
async fn a_refused_connect_is_closed_and_a_refused_reattach_hears_of_an_expiry_while_its_session_stays() {
    let (zk, http) = start(ZkMini::builder()).await;
    let client = ZkClient::connect(&zk.connect_string()).await.unwrap();
    client.create("/a", "", CreateMode::Ephemeral).await.unwrap();
    let session = zk.session_of("/a").unwrap();
    let id = format!("{:#x}", session.id().0);
    let rule = add(http, json!({"reattach": true, "session": id, "times": 1}), json!({"refuse": true})).await;
    let mut states = client.states();
    session.disconnect().await;
    let is_another =
        |state: &SessionState| matches!(state, SessionState::Connected(id) if *id != session.id());
    assert!(states.wait_for(is_another).await.is_some(), "its client takes it for expired");
    let path = format!("/v1/faults/{}", rule["id"].as_str().unwrap());
    let hit = http.get(&path).await.json(200)["hits"][0].clone();
    assert_eq!((&hit["kind"], &hit["session"]), (&json!("handshake"), &json!(id)));
    assert!(zk.session(session.id()).is_some(), "the session itself stays");
}
