//! Expiry of a session on demand, and connections that the server closes.

use zk_mini::core::{Config, Input, Part};
use zk_wire::*;

use crate::driver::*;
use crate::invariants;

/// Lets a session expire, either by time or on demand, and returns everything that can be seen of it.
fn story(on_demand: bool) -> (Vec<Heard>, Vec<Heard>, Vec<zk_mini::core::Change>, Vec<SessionId>) {
    let mut t = Driver::new();
    let (dying, watching) = (t.connect(4_000), t.connect(40_000));
    for path in ["/a", "/b"] {
        t.call(dying, &create(path, CreateMode::Ephemeral)).unwrap();
        t.call(watching, &get_data(path, true)).unwrap();
    }
    t.call(watching, &get_children("/", true)).unwrap();
    let before = t.txns.len();
    if on_demand {
        t.input(Input::Expire { session: t.session(dying) });
    } else {
        t.advance(6_000);
    }
    invariants::check(&t.core);
    assert!(t.is_closed(dying) && !t.is_closed(watching));
    let changes = t.txns[before..].iter().map(|txn| txn.change.clone()).collect();
    (t.heard(dying).to_vec(), t.heard(watching).to_vec(), changes, t.expired.clone())
}

#[test]
fn an_expiry_on_demand_cannot_be_told_from_one_by_time() {
    let forced = story(true);
    assert_eq!(forced, story(false));
    assert_eq!(forced.2.len(), 1, "one transaction");
}

#[test]
fn a_session_that_has_expired_on_demand_cannot_be_resumed() {
    let mut t = Driver::new();
    let conn = t.connect(4_000);
    let credentials = t.credentials(conn);
    t.input(Input::Expire { session: credentials.id });
    let (_, response) = t.resume(&credentials, 4_000);
    assert_eq!(response.session_id, SessionId::NONE);
    t.input(Input::Expire { session: credentials.id });
    assert_eq!(t.expired, [credentials.id], "it expires once");
}

#[test]
fn a_session_without_a_connection_expires_on_demand() {
    let mut t = Driver::new();
    let conn = t.connect(4_000);
    t.call(conn, &create("/a", CreateMode::Ephemeral)).unwrap();
    t.lose(conn);
    t.input(Input::Expire { session: t.session(conn) });
    assert!(t.core.node("/a").is_none() && t.core.sessions().is_empty());
}

#[test]
fn a_thousand_sessions_expire_on_demand() {
    let mut t = Driver::with(Config::default());
    for n in 0..1_000 {
        let conn = t.connect(4_000);
        t.call(conn, &create(&format!("/{n}"), CreateMode::Ephemeral)).unwrap();
    }
    for session in t.core.sessions() {
        t.input(Input::Expire { session: session.id });
    }
    assert_eq!((t.expired.len(), t.core.ephemeral_count(), t.core.connections().len()), (1_000, 0, 0));
    invariants::check(&t.core);
}

#[test]
fn a_disconnected_session_lives_on() {
    let mut t = Driver::new();
    let conn = t.connect(4_000);
    t.call(conn, &create("/a", CreateMode::Ephemeral)).unwrap();
    t.input(Input::Disconnect { conn });
    assert!(t.is_closed(conn));
    t.input(Input::Disconnect { conn });
    let (_, response) = t.resume(&t.credentials(conn), 4_000);
    assert_eq!(response.session_id, t.session(conn));
    assert!(t.core.node("/a").is_some());
}

#[test]
fn a_frozen_session_expires_on_demand_and_hears_of_it_after_the_thaw() {
    let mut t = Driver::new();
    let (conn, other) = (t.connect(4_000), t.connect(40_000));
    let session = t.session(conn);
    t.call(conn, &create("/a", CreateMode::Ephemeral)).unwrap();
    t.call(other, &get_data("/a", true)).unwrap();
    t.input(Input::Freeze { part: Part::Session(session) });
    t.input(Input::Expire { session });
    assert!(!t.is_closed(conn));
    assert_eq!(t.events(other), [(EventType::NODE_DELETED, "/a".into())]);
    t.input(Input::Thaw { part: Part::Session(session) });
    assert!(t.is_closed(conn));
    invariants::check(&t.core);
}
