//! Faults of handshakes and of watch events.

use zk_mini::core::{ConnId, FaultId};
use zk_mini::{On, Rule, Then};
use zk_wire::*;

use crate::driver::*;

fn fault(t: &mut Driver, on: On, then: Then) -> FaultId {
    t.core.add_fault(Rule::new(on, then).unwrap(), None).unwrap()
}

fn shake(t: &mut Driver, request: &ConnectRequest) -> (ConnId, Vec<Heard>) {
    let conn = t.accept();
    t.frame(conn, encode(request));
    (conn, t.heard(conn).to_vec())
}

fn resuming(credentials: &Credentials) -> ConnectRequest {
    let (session_id, password) = (credentials.id, credentials.password.clone());
    ConnectRequest { session_id, password, ..connect_request(4_000) }
}

/// The answer to a client whose session has expired.
fn expired() -> Vec<Heard> {
    let none = ConnectResponse {
        protocol_version: 0,
        timeout: 0,
        session_id: SessionId::NONE,
        password: Some(vec![0; 16].into()),
        read_only: Some(false),
    };
    vec![Heard::Handshake(none), Heard::Closed]
}

#[test]
fn a_refused_connection_is_closed_without_an_answer() {
    let mut t = Driver::new();
    let living = t.connect(4_000);
    let rule = fault(&mut t, On::connect(), Then::refuse());
    assert_eq!(shake(&mut t, &connect_request(4_000)).1, [Heard::Closed]);
    let again = resuming(&t.credentials(living));
    assert_eq!(shake(&mut t, &again).1, [Heard::Closed], "a re-attach is a connect, too");
    assert!(!t.is_closed(living), "and has not come to its session");
    assert_eq!((t.core.session_count(), t.core.fault_hits(rule).len()), (1, 2));
    assert_eq!(t.core.fault_hits(rule)[1].session, Some(again.session_id));
}

#[test]
fn a_refused_re_attach_is_told_that_the_session_has_expired_while_it_lives() {
    let mut t = Driver::new();
    let conn = t.connect(4_000);
    let credentials = t.credentials(conn);
    t.lose(conn);
    fault(&mut t, On::reattach().session(credentials.id).times(1), Then::refuse());
    assert!(matches!(shake(&mut t, &connect_request(4_000)).1[..], [Heard::Handshake(_)]), "no re-attach");
    assert_eq!(shake(&mut t, &resuming(&credentials)).1, expired());
    assert_eq!(t.core.session_count(), 2);
    let (_, answer) = t.resume(&credentials, 4_000);
    assert_eq!(answer.session_id, credentials.id);
}

#[test]
fn the_answer_to_a_handshake_can_be_lost_or_withheld() {
    for (then, sessions, heard) in [
        (Then::disconnect(), 0, vec![Heard::Closed]),
        (Then::apply_and_lose_reply(), 1, vec![Heard::Closed]),
        (Then::be_silent(), 0, vec![]),
        (Then::apply_and_be_silent(), 1, vec![]),
    ] {
        let mut t = Driver::new();
        fault(&mut t, On::connect(), then);
        let (conn, answer) = shake(&mut t, &connect_request(4_000));
        assert_eq!((answer, t.core.session_count()), (heard, sessions), "{then}");
        if t.is_closed(conn) {
            assert!(t.core.sessions().iter().all(|session| session.conn.is_none()));
        }
    }
}

#[test]
fn create_session_is_a_handshake_for_a_new_session_and_fails_as_expired() {
    let mut t = Driver::new();
    let living = t.connect(4_000);
    fault(&mut t, On::op(OpCode::CREATE_SESSION), Then::fail(ErrorCode::SESSION_EXPIRED));
    assert_eq!(shake(&mut t, &connect_request(4_000)).1, expired());
    let again = resuming(&t.credentials(living));
    assert!(matches!(shake(&mut t, &again).1[..], [Heard::Handshake(_)]), "a re-attach creates none");
}

#[test]
fn an_unreadable_handshake_is_no_handshake() {
    let mut t = Driver::new();
    let rule = fault(&mut t, On::connect(), Then::be_silent());
    let conn = t.accept();
    t.frame(conn, vec![1, 2, 3].into());
    assert!(t.is_closed(conn));
    assert!(t.core.fault_hits(rule).is_empty());
}

#[test]
fn a_dropped_event_uses_its_watch_up() {
    let mut t = Driver::new();
    let (deaf, hearing) = (t.connect(4_000), t.connect(4_000));
    let id = t.session(deaf);
    let rule = fault(&mut t, On::event(EventType::NODE_CREATED, "/a").session(id), Then::drop_event());
    for conn in [deaf, hearing] {
        assert!(t.call(conn, &exists("/a", true)).is_err());
    }
    t.call(hearing, &create("/a", CreateMode::Persistent)).unwrap();
    assert_eq!(t.events(deaf), []);
    assert_eq!(t.events(hearing), [(EventType::NODE_CREATED, "/a".into())]);
    assert_eq!(t.core.watch_count(), 0);
    let hit = t.core.fault_hits(rule).remove(0);
    assert_eq!((hit.event, hit.connection), (Some(EventType::NODE_CREATED), Some(deaf)));
    assert_eq!(hit.to_string(), format!("event NodeCreated of /a, session {id}, connection 1"));
    t.call(deaf, &get_data("/a", true)).unwrap();
    t.call(hearing, &delete("/a")).unwrap();
    assert_eq!(t.events(deaf), [(EventType::NODE_DELETED, "/a".into())], "another kind");
}

#[test]
fn events_that_set_watches_finds_missed_can_be_dropped() {
    let mut t = Driver::new();
    let (conn, other) = (t.connect(4_000), t.connect(4_000));
    let seen = t.core.last_zxid();
    t.call(other, &create("/a", CreateMode::Persistent)).unwrap();
    fault(&mut t, On::any_event("/*").nth(1), Then::drop_event());
    let again = SetWatches {
        relative_zxid: seen,
        data_watches: vec!["/b".into()],
        exist_watches: vec!["/a".into()],
        child_watches: Vec::new(),
    };
    t.call(conn, &again).unwrap();
    assert_eq!(t.events(conn), [(EventType::NODE_CREATED, "/a".into())], "the deletion of /b is dropped");
    assert_eq!(t.core.watch_count(), 0);
}

#[test]
fn an_event_that_may_not_be_seen_is_no_case() {
    let mut t = Driver::new();
    let (stranger, owner) = (t.connect(4_000), t.connect(4_000));
    t.call(owner, &Auth { auth_type: 0, scheme: Some("digest".into()), auth: Some("a:b".into()) }).unwrap();
    t.call(stranger, &exists("/a", true)).unwrap_err();
    let rule = fault(&mut t, On::any_event("/**"), Then::drop_event());
    let acl = Some(vec![Acl { perms: Perms::ALL, scheme: "auth".into(), id: "".into() }]);
    let secret = Create { acl, ..create("/a", CreateMode::Persistent) };
    t.call(owner, &secret).unwrap();
    assert_eq!((t.events(stranger), t.core.fault_hits(rule).len()), (vec![], 0));
}
