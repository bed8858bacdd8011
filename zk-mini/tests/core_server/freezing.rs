//! Freezing: what is sent to a frozen part waits, in order, and is no sign of life.

use zk_mini::core::{Config, ConnId, Input, Part};
use zk_wire::*;

use crate::driver::*;
use crate::invariants;

fn freeze(t: &mut Driver, part: Part) {
    t.input(Input::Freeze { part });
}

fn thaw(t: &mut Driver, part: Part) {
    t.input(Input::Thaw { part });
    invariants::check(&t.core);
}

/// Sends a request without waiting for its reply.
fn send<R: Request>(t: &mut Driver, conn: ConnId, xid: i32, request: &R) {
    let mut frame = bytes::BytesMut::new();
    RequestHeader { xid: Xid(xid), op: R::OP }.encode(&mut frame);
    frame.extend_from_slice(&encode(request));
    t.frame(conn, frame.freeze());
}

/// Returns the xids of all replies and events after the handshake, and 0 for the close.
fn xids(t: &Driver, conn: ConnId) -> Vec<i32> {
    let xid = |heard: &Heard| match heard {
        Heard::Handshake(_) => None,
        Heard::Reply { xid, .. } => Some(xid.0),
        Heard::Event { .. } => Some(-1),
        Heard::Closed => Some(0),
    };
    t.heard(conn).iter().filter_map(xid).collect()
}

#[test]
fn a_frozen_connection_hears_nothing_and_everything_in_order_after_the_thaw() {
    let mut t = Driver::new();
    let (frozen, other) = (t.connect(40_000), t.connect(40_000));
    send(&mut t, frozen, 1, &exists("/a", true));
    freeze(&mut t, Part::Connection(frozen));
    assert!(t.core.is_frozen(frozen) && t.paused.contains(&frozen));
    send(&mut t, frozen, 2, &create("/b", CreateMode::Persistent));
    send(&mut t, frozen, 3, &get_data("/b", false));
    t.call(other, &create("/a", CreateMode::Persistent)).unwrap();
    assert_eq!(xids(&t, frozen), [1]);
    assert!(t.core.node("/b").is_none());
    thaw(&mut t, Part::Connection(frozen));
    let mut heard = xids(&t, frozen);
    assert_eq!(heard.len(), 4);
    heard.retain(|xid| *xid != -1);
    assert_eq!(heard, [1, 2, 3]);
    assert!(!t.core.is_frozen(frozen) && t.paused.is_empty());
}

#[test]
fn a_frozen_session_expires_as_time_goes_and_is_closed_after_the_thaw() {
    for part in [|conn, _| Part::Connection(conn), |_, session| Part::Session(session)] {
        let mut t = Driver::new();
        let (conn, other) = (t.connect(4_000), t.connect(40_000));
        t.call(conn, &create("/a", CreateMode::Ephemeral)).unwrap();
        t.reply(other, &exists("/a", true));
        let part = part(conn, t.session(conn));
        freeze(&mut t, part);
        for _ in 0..6 {
            t.ping(conn);
            t.advance(1_000);
        }
        assert_eq!(t.expired, [t.session(conn)], "held input is no sign of life");
        assert_eq!(t.events(other).len(), 1);
        assert!(!t.is_closed(conn));
        invariants::check(&t.core);
        thaw(&mut t, part);
        assert!(t.is_closed(conn));
        assert_eq!(xids(&t, conn), [1, 0], "what it had sent is lost with it");
        assert_eq!(t.core.connections().len(), 1);
    }
}

#[test]
fn a_frozen_session_is_silent_on_later_connections() {
    let mut t = Driver::new();
    let conn = t.connect(4_000);
    let (credentials, session) = (t.credentials(conn), t.session(conn));
    freeze(&mut t, Part::Session(session));
    let later = t.accept();
    let request = ConnectRequest {
        session_id: session,
        password: credentials.password.clone(),
        ..connect_request(4_000)
    };
    t.frame(later, encode(&request));
    t.ping(later);
    let new = t.connect(4_000);
    assert!(t.heard(later).is_empty() && t.heard(new).len() == 1);
    t.advance(3_000);
    t.ping(new);
    thaw(&mut t, Part::Session(session));
    assert!(t.is_closed(conn), "its place is taken");
    assert!(matches!(&t.heard(later)[0], Heard::Handshake(response) if response.session_id == session));
    assert_eq!(xids(&t, later), [-2]);
}

#[test]
fn a_handshake_for_an_expired_session_is_refused_after_the_thaw() {
    let mut t = Driver::new();
    let conn = t.connect(4_000);
    let session = t.session(conn);
    freeze(&mut t, Part::Session(session));
    t.advance(6_000);
    let later = t.accept();
    t.frame(later, encode(&ConnectRequest { session_id: session, ..connect_request(4_000) }));
    assert!(t.heard(later).is_empty());
    thaw(&mut t, Part::Session(session));
    assert!(t.is_closed(conn) && t.is_closed(later));
    assert!(matches!(&t.heard(later)[0], Heard::Handshake(refused) if refused.session_id == SessionId::NONE));
}

#[test]
fn a_frozen_listener_freezes_its_connections_present_and_to_come() {
    let mut t = Driver::new();
    let at = |t: &mut Driver, listener| {
        let conn = t.accept_at(Some(listener));
        t.frame(conn, encode(&connect_request(4_000)));
        conn
    };
    let here = at(&mut t, 0);
    freeze(&mut t, Part::Listener(0));
    let conns = [here, at(&mut t, 0), at(&mut t, 1)];
    t.ping(here);
    assert_eq!(conns.map(|conn| t.heard(conn).len()), [1, 0, 1]);
    thaw(&mut t, Part::Listener(0));
    assert_eq!(conns.map(|conn| t.heard(conn).len()), [2, 1, 1]);
}

#[test]
fn nothing_happens_on_a_frozen_server_and_what_arrived_comes_first_after_the_thaw() {
    let mut t = Driver::new();
    let (alive, silent) = (t.connect(4_000), t.connect(4_000));
    for conn in [alive, silent] {
        t.call(conn, &create(&format!("/{}", conn.0), CreateMode::Ephemeral)).unwrap();
    }
    freeze(&mut t, Part::Server);
    assert_eq!(t.core.poll_deadline(), None);
    t.stall(60_000);
    t.ping(alive);
    t.input(Input::Timeout);
    assert_eq!(t.core.sessions().len(), 2, "nobody expires");
    let new = t.accept();
    t.frame(new, encode(&connect_request(4_000)));
    assert!(t.heard(new).is_empty());
    thaw(&mut t, Part::Server);
    assert_eq!(t.heard(new).len(), 1);
    assert_eq!(t.core.sessions().len(), 3, "due work waits for its timeout");
    t.catch_up();
    assert_eq!(t.expired, [t.session(silent)]);
    assert!(t.paused.iter().all(|conn| *conn == silent));
}

#[test]
fn a_thaw_of_one_part_leaves_what_another_one_freezes() {
    let mut t = Driver::new();
    let conn = t.connect(40_000);
    let session = t.session(conn);
    let parts = [Part::Connection(conn), Part::Session(session), Part::Server];
    for part in parts {
        freeze(&mut t, part);
    }
    t.ping(conn);
    for part in parts {
        assert!(t.core.is_frozen(conn) && xids(&t, conn).is_empty());
        thaw(&mut t, part);
    }
    assert_eq!(xids(&t, conn), [-2]);
}

#[test]
fn a_peer_that_leaves_while_it_is_frozen_is_missed_after_the_thaw() {
    let mut t = Driver::new();
    let (conn, other) = (t.connect(40_000), t.connect(40_000));
    t.reply(conn, &exists("/a", true));
    freeze(&mut t, Part::Connection(conn));
    send(&mut t, conn, 7, &create("/b", CreateMode::Persistent));
    t.lose(conn);
    assert_eq!(t.core.connections().len(), 2, "a frozen server does not notice");
    t.call(other, &create("/a", CreateMode::Persistent)).unwrap();
    thaw(&mut t, Part::Connection(conn));
    assert_eq!(t.core.connections().len(), 1);
    assert_eq!(t.core.watch_count(), 0);
    assert!(t.core.node("/b").is_some(), "what it sent before counts");
    assert_eq!(xids(&t, conn), [1]);
    assert_eq!(t.core.sessions().len(), 2);
}

#[test]
fn a_connection_that_is_gone_on_both_sides_leaves_nothing() {
    for peer_first in [true, false] {
        let mut t = Driver::new();
        let conn = t.connect(4_000);
        freeze(&mut t, Part::Connection(conn));
        t.ping(conn);
        if peer_first {
            t.lose(conn);
            t.advance(6_000);
        } else {
            t.advance(6_000);
            t.lose(conn);
        }
        assert_eq!(t.core.sessions().len(), 0);
        assert!(t.core.connections().is_empty() && !t.core.is_frozen(conn));
        thaw(&mut t, Part::Connection(conn));
        assert!(xids(&t, conn).is_empty());
    }
}

#[test]
fn waiting_for_the_disk_is_no_sign_of_life_of_a_frozen_connection() {
    let mut t = Driver::new();
    let conn = t.connect(4_000);
    freeze(&mut t, Part::Connection(conn));
    t.advance(3_000);
    t.input(Input::Waiting { conn });
    t.advance(3_000);
    assert_eq!(t.expired, [t.session(conn)]);
}

#[test]
fn events_for_a_frozen_connection_are_bounded() {
    let mut t = Driver::with(Config { max_held: 10_000, ..Config::default() });
    let (frozen, other) = (t.connect(40_000), t.connect(40_000));
    let watch = AddWatch { path: "/".into(), mode: 1 };
    t.call(frozen, &watch).unwrap();
    freeze(&mut t, Part::Connection(frozen));
    for n in 0..1_000 {
        t.call(other, &create(&format!("/{n}"), CreateMode::Persistent)).unwrap();
    }
    assert_eq!(t.core.connections().len(), 1, "it is given up, as a peer that does not read");
    thaw(&mut t, Part::Connection(frozen));
    assert_eq!(xids(&t, frozen), [1, 0]);
    assert_eq!(t.core.sessions().len(), 2);
}
