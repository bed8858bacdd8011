//! Handshakes, sessions and their end (rules 1, 6 to 14).

use bytes::{Bytes, BytesMut};
use zk_mini::core::{Change, Compat, Config, Core, Now, SessionSecret};
use zk_wire::*;

use crate::driver::*;

#[test]
fn timeouts_are_clamped_to_two_and_twenty_ticks() {
    // 6
    let mut t = Driver::new();
    for (asked, given) in [(0, 4_000), (-5, 4_000), (10_000, 10_000), (1_000_000, 40_000)] {
        let conn = t.accept();
        assert_eq!(t.handshake(conn, &connect_request(asked)).timeout, given);
    }
}

#[test]
fn bounds_can_be_configured() {
    let config = Config {
        min_session_timeout: Some(Millis(100)),
        max_session_timeout: Some(Millis(200)),
        ..Config::default()
    };
    let mut t = Driver::with(config);
    for (asked, given) in [(1, 100), (150, 150), (1_000, 200)] {
        let conn = t.accept();
        assert_eq!(t.handshake(conn, &connect_request(asked)).timeout, given);
    }
}

#[test]
fn a_timeout_fits_the_protocol() {
    let long = Some(Millis(1 << 40));
    let config = Config { min_session_timeout: long, max_session_timeout: long, ..Config::default() };
    let mut t = Driver::with(config);
    let conn = t.accept();
    assert_eq!(t.handshake(conn, &connect_request(10_000)).timeout, i32::MAX);
    assert_eq!(t.core.sessions()[0].timeout, Millis(0x7fff_ffff));
}

#[test]
fn only_expired_sessions_are_counted_as_expired() {
    let mut t = Driver::new();
    let (closes, expires) = (t.connect(4_000), t.connect(4_000));
    let expiring = t.session(expires);
    // The request has the number that the server uses for its own transactions.
    let mut close = BytesMut::new();
    RequestHeader { xid: Xid(0), op: OpCode::CLOSE_SESSION }.encode(&mut close);
    t.frame(closes, close.freeze());
    assert!(t.is_closed(closes));
    assert_eq!(t.expired, []);
    t.advance(6_000);
    assert!(t.is_closed(expires));
    assert_eq!(t.expired, [expiring]);
}

#[test]
fn old_clients_are_answered_without_the_read_only_byte() {
    // 7: the driver decodes answers to the last byte.
    let mut t = Driver::new();
    let conn = t.accept();
    let response = t.handshake(conn, &ConnectRequest { read_only: None, ..connect_request(10_000) });
    assert_eq!(encode(&response).len(), 36);
    let conn = t.accept();
    let response = t.handshake(conn, &connect_request(10_000));
    assert_eq!(encode(&response).len(), 37);
}

#[test]
fn unusual_handshakes_are_accepted() {
    // 7: the version is unchecked, session 0 takes any password, bytes after the record are ignored.
    let mut t = Driver::new();
    for password in [None, Some(Bytes::new()), Some(Bytes::from_static(b"x"))] {
        let conn = t.accept();
        let request = ConnectRequest { protocol_version: 99, password, ..connect_request(10_000) };
        let mut bytes = encode(&request).to_vec();
        bytes.extend_from_slice(b"more");
        t.frame(conn, bytes.into());
        let Heard::Handshake(response) = &t.heard(conn)[0] else { panic!("no answer") };
        assert_eq!(response.protocol_version, 0);
        assert_eq!(response.password.as_ref().unwrap().len(), 16);
    }
}

#[test]
fn creating_and_closing_a_session_takes_one_zxid_each_and_resuming_none() {
    // 1
    let mut t = Driver::new();
    let a = t.connect(10_000);
    assert_eq!(t.core.last_zxid(), Zxid(1));
    let credentials = t.credentials(a);
    t.lose(a);
    let (b, response) = t.resume(&credentials, 10_000);
    assert_eq!(response.session_id, credentials.id);
    assert_eq!(t.core.last_zxid(), Zxid(1));
    t.call(b, &CloseSession {}).unwrap();
    assert_eq!(t.core.last_zxid(), Zxid(2));
    assert!(t.core.sessions().is_empty());
}

#[test]
fn a_client_that_has_seen_more_is_closed_without_an_answer() {
    // 8: this comes before anything else, so the live connection of the session stays.
    let mut t = Driver::new();
    let a = t.connect(10_000);
    let credentials = t.credentials(a);
    let b = t.accept();
    let request = ConnectRequest {
        last_zxid_seen: Zxid(2),
        session_id: credentials.id,
        password: credentials.password,
        ..connect_request(10_000)
    };
    t.frame(b, encode(&request));
    assert_eq!(t.heard(b), [Heard::Closed]);
    assert!(!t.is_closed(a));
}

#[test]
fn a_session_moves_to_a_connection_with_its_password() {
    let mut t = Driver::new();
    let a = t.connect(10_000);
    let credentials = t.credentials(a);
    t.call(a, &create("/e", CreateMode::Ephemeral)).unwrap();
    let (b, response) = t.resume(&credentials, 20_000);
    assert!(t.is_closed(a));
    assert_eq!((response.session_id, response.timeout), (credentials.id, 20_000), "6: renegotiated");
    assert!(t.call(b, &exists("/e", false)).is_ok());
    t.lose(a);
    assert_eq!(t.core.sessions()[0].conn, Some(b), "the old connection's end is old news");
}

#[test]
fn a_wrong_password_costs_the_owner_its_connection_but_not_its_session() {
    // 9
    let mut t = Driver::new();
    let a = t.connect(10_000);
    let credentials = t.credentials(a);
    let thief = Credentials { password: Some(Bytes::from_static(&[7; 16])), ..credentials.clone() };
    let (b, response) = t.resume(&thief, 10_000);
    assert_eq!(response.session_id, SessionId::NONE);
    assert_eq!((response.timeout, response.password), (0, Some(Bytes::from_static(&[0; 16]))));
    assert!(t.is_closed(b) && t.is_closed(a));
    let (_, response) = t.resume(&credentials, 10_000);
    assert_eq!(response.session_id, credentials.id);
}

#[test]
fn an_expired_closed_or_unknown_session_is_never_silently_a_new_one() {
    // 10
    let mut t = Driver::new();
    let a = t.connect(4_000);
    let expired = t.credentials(a);
    t.advance(6_000);
    assert!(t.is_closed(a));
    let b = t.connect(4_000);
    let closed = t.credentials(b);
    t.call(b, &CloseSession {}).unwrap();
    let unknown = Credentials { id: SessionId(77), password: None };
    let zxid = t.core.last_zxid();
    for credentials in [expired, closed, unknown] {
        let (conn, response) = t.resume(&credentials, 10_000);
        assert_eq!((response.session_id, response.timeout), (SessionId::NONE, 0));
        assert!(t.is_closed(conn));
    }
    assert_eq!(t.core.last_zxid(), zxid);
}

#[test]
fn watches_and_identities_stay_behind_when_a_session_moves() {
    // 10, 47
    let mut t = Driver::new();
    let a = t.connect(10_000);
    t.call(a, &exists("/x", true)).unwrap_err();
    t.call(a, &Auth { auth_type: 0, scheme: Some("digest".into()), auth: Some("u:p".into()) }).unwrap();
    let credentials = t.credentials(a);
    let (b, _) = t.resume(&credentials, 10_000);
    assert_eq!(t.call(b, &WhoAmI {}).unwrap().client_info.len(), 1);
    t.call(b, &create("/x", CreateMode::Persistent)).unwrap();
    assert_eq!(t.events(b), []);
    assert_eq!(t.core.watch_count(), 0);
}

#[test]
fn a_lost_connection_leaves_its_session_until_the_timeout() {
    // 13: a session with 4,000 ms expires after 4 to 6 seconds.
    let mut t = Driver::new();
    t.advance(500);
    let a = t.connect(4_000);
    t.call(a, &create("/e", CreateMode::Ephemeral)).unwrap();
    t.lose(a);
    t.advance(5_499);
    assert!(t.core.node("/e").is_some());
    t.advance(1);
    assert!(t.core.node("/e").is_none());
}

#[test]
fn a_session_and_its_ephemerals_end_in_one_transaction() {
    let mut t = Driver::new();
    let (a, watcher) = (t.connect(4_000), t.connect(40_000));
    for path in ["/e1", "/e2"] {
        t.call(a, &create(path, CreateMode::Ephemeral)).unwrap();
        t.call(watcher, &exists(path, true)).unwrap();
    }
    let before = t.core.last_zxid();
    t.advance(6_000);
    assert_eq!(t.core.last_zxid(), Zxid(before.0 + 1));
    let Change::CloseSession { ephemerals } = &t.txns.last().unwrap().change else { panic!("not a close") };
    assert_eq!(ephemerals.as_ref().unwrap().len(), 2);
    let deleted = |path: &str| (EventType::NODE_DELETED, path.to_owned());
    assert_eq!(t.events(watcher), [deleted("/e1"), deleted("/e2")]);
    assert_eq!(t.core.ephemeral_count(), 0);
}

#[test]
fn any_request_keeps_a_session_alive() {
    let mut t = Driver::new();
    let a = t.connect(4_000);
    for _ in 0..5 {
        t.advance(3_000);
        t.ping(a);
        t.advance(3_000);
        t.call(a, &exists("/", false)).unwrap();
    }
    assert!(!t.is_closed(a));
    t.advance(6_000);
    assert!(t.is_closed(a));
}

#[test]
fn a_close_sends_events_then_the_reply_then_closes() {
    // 12
    let mut t = Driver::new();
    let a = t.connect(10_000);
    t.call(a, &create("/e", CreateMode::Ephemeral)).unwrap();
    t.call(a, &exists("/e", true)).unwrap();
    let (zxid, err, body) = t.reply(a, &CloseSession {});
    assert_eq!((err, body.len()), (ErrorCode::OK, 0));
    let [.., Heard::Event { kind, .. }, Heard::Reply { .. }, Heard::Closed] = t.heard(a) else {
        panic!("{:?}", t.heard(a))
    };
    assert_eq!(*kind, EventType::NODE_DELETED);
    assert_eq!(zxid, t.core.last_zxid().0);
}

#[test]
fn create_session_on_an_established_connection_answers_as_a_handshake() {
    // 14
    let mut t = Driver::new();
    let a = t.connect(10_000);
    let before = t.core.last_zxid().0;
    let mut frame = encode(&RequestHeader { xid: Xid(5), op: OpCode::CREATE_SESSION }).to_vec();
    frame.extend_from_slice(&20_000_i32.to_be_bytes());
    // The driver takes the frame for a reply: the first field of a ConnectResponse is 0, and its timeout follows.
    t.frame(a, frame.into());
    let Some(Heard::Reply { xid, zxid, .. }) = t.heard(a).last() else { panic!("no answer") };
    assert_eq!((*xid, zxid >> 32), (Xid(0), 10_000));
    assert_eq!(t.core.last_zxid().0, before + 1);
    assert_eq!(t.core.sessions().len(), 1);
}

#[test]
fn a_timeout_of_create_session_is_bounded_after_a_restart() {
    // 14
    for (asked, kept) in [(i32::MAX, 40_000), (60_000, 40_000), (9_000, 9_000), (0, 4_000), (-1, 4_000)] {
        let mut t = Driver::new();
        let a = t.connect(10_000);
        let header = encode(&RequestHeader { xid: Xid(5), op: OpCode::CREATE_SESSION });
        t.frame(a, [&header[..], &asked.to_be_bytes()].concat().into());
        let sessions = t.core.image().sessions;
        assert_eq!(sessions, [(t.session(a), Millis(kept))], "{asked}: what a snapshot has");
        let mut again = Core::restore(Config::default(), Now::default(), t.core.image());
        again.accept_writes(Now::default());
        assert_eq!(again.sessions()[0].timeout, Millis(kept));
        assert!(again.sessions()[0].expires <= Millis(kept + 2_000), "{asked}");
    }
}

#[test]
fn ids_of_servers_with_different_seeds_differ() {
    let id = |seed| {
        let mut t = Driver::with(Config { seed, ..Config::default() });
        let conn = t.connect(10_000);
        t.session(conn)
    };
    assert_ne!(id(1), id(2));
    assert_eq!(id(1), id(1));
}

#[test]
fn sessions_work_in_both_release_lines() {
    for compat in [Compat::V3_8, Compat::V3_9] {
        let mut t = Driver::compat(compat);
        let conn = t.connect(10_000);
        assert_eq!(t.core.sessions()[0].id, t.session(conn));
    }
}

#[test]
fn passwords_of_a_secret_are_not_predictable_and_survive_a_restart() {
    let keyed = |seed| Config { session_secret: Some(SessionSecret::from_seed(seed)), ..Config::default() };
    let (mut open, mut t) = (Driver::new(), Driver::with(keyed(1)));
    let (a, b) = (open.connect(10_000), t.connect(10_000));
    let (public, private) = (open.credentials(a), t.credentials(b));
    assert_eq!(public.id, private.id, "the same id");
    assert_ne!(public.password, private.password);

    // A server with the same state and secret accepts its sessions, one with another secret does not.
    let image = t.core.image();
    for (config, credentials, is_known) in
        [(keyed(1), &private, true), (keyed(1), &public, false), (keyed(2), &private, false)]
    {
        let mut next = Driver::new();
        next.core = Core::restore(config, next.now, image.clone());
        next.core.recovered(next.now);
        let (_, answered) = next.resume(credentials, 10_000);
        assert_eq!(answered.session_id == private.id, is_known);
    }
}

#[test]
fn zxids_start_where_configured_and_count_past_32_bits() {
    let begin_after = Zxid((1 << 61) + 0xffff_fffe);
    let mut t = Driver::with(Config { begin_after, ..Config::default() });
    let a = t.accept();
    let request = ConnectRequest { last_zxid_seen: begin_after, ..connect_request(10_000) };
    assert_ne!(t.handshake(a, &request).session_id, SessionId::NONE, "a client that has seen less is served");
    assert_eq!(t.core.last_zxid(), Zxid(begin_after.0 + 1));
    let (zxid, err, _) = t.reply(a, &create("/a", CreateMode::Persistent));
    assert_eq!((zxid, err), (begin_after.0 + 2, ErrorCode::OK));
    assert_eq!(
        zxid & 0xffff_ffff,
        0,
        "as a standalone ZooKeeper, which has no elections to begin another epoch"
    );
    assert_eq!(t.core.node("/a").unwrap().stat.czxid, Zxid(zxid));
}
