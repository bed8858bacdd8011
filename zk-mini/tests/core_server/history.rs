//! The history: requests, changes and their reasons, in the words that people read.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use zk_mini::core::{Config, ConnId, Input, Peer};
use zk_mini::history::{ChangeKind, EntryKind};
use zk_mini::{On, Rule, Then};
use zk_wire::*;

use crate::driver::*;

fn recording() -> Driver {
    Driver::with(Config { history: 1_000, ..Config::default() })
}

/// Opens a session from 127.0.0.1:5123.
fn connect_from_socket(t: &mut Driver, timeout: i32) -> ConnId {
    let conn = t.accept_from(Peer { ip: IpAddr::V4(Ipv4Addr::LOCALHOST), port: 5_123 });
    t.handshake(conn, &connect_request(timeout));
    conn
}

fn lines(t: &Driver) -> Vec<String> {
    // The time is the same in each.
    t.core.entries(0, usize::MAX).iter().map(|entry| entry.to_string()[25..].to_owned()).collect()
}

#[test]
fn explain_tells_of_an_expiry_when_the_client_was_last_heard() {
    let mut t = recording();
    let conn = connect_from_socket(&mut t, 6_000);
    let id = t.session(conn);
    t.call(conn, &create_with("/demo", b"12345", CreateMode::Ephemeral)).unwrap();
    t.lose(conn);
    t.advance(60_000);

    let explanation = t.core.explain("/demo");
    assert!(!explanation.exists && !explanation.is_cut);
    let [created, deleted] = &explanation.changes[..] else { panic!("{explanation}") };
    assert_eq!((created.what, deleted.what), (ChangeKind::Created, ChangeKind::Deleted));
    assert_eq!((created.xid, deleted.xid), (Some(Xid(1)), None));
    assert_eq!((created.session, deleted.session), (Some(id), Some(id)));
    assert_eq!((created.client, deleted.client), (Some(([127, 0, 0, 1], 5_123).into()), created.client));
    assert_eq!(
        explanation.to_string(),
        format!(
            "/demo does not exist\n  \
             2023-11-14 22:13:20.000  0x2     created by request 1 (create) of session {id}, \
             client 127.0.0.1:5123: ephemeral, 5 bytes\n  \
             2023-11-14 22:13:28.000  0x3     deleted by the end of session {id}: expired, \
             last heard 8 s before, timeout 6 s, client 127.0.0.1:5123"
        )
    );
}

#[test]
fn explain_names_the_request_that_changed_or_deleted_a_node() {
    let mut t = recording();
    let (one, other) = (t.connect(10_000), connect_from_socket(&mut t, 10_000));
    let (first, second) = (t.session(one), t.session(other));
    t.call(one, &create("/a", CreateMode::Persistent)).unwrap();
    t.call(one, &create("/a/below", CreateMode::Persistent)).unwrap();
    t.call(other, &set_data("/a", b"new", -1)).unwrap();
    t.call(other, &delete("/a/below")).unwrap();
    let ops = vec![MultiOp::Delete(delete("/a"))];
    t.call(other, &Multi { ops }).unwrap();

    let sentences: Vec<_> = t.core.explain("/a").changes.into_iter().map(|change| change.because).collect();
    assert_eq!(
        sentences,
        [
            format!(
                "created by request 1 (create) of session {first}, client in this process: persistent, 0 bytes"
            ),
            format!(
                "changed by request 3 (setData) of session {second}, client 127.0.0.1:5123: data, now version 1"
            ),
            format!("deleted by request 5 (multi) of session {second}, client 127.0.0.1:5123"),
        ]
    );
}

#[test]
fn explain_tells_the_closed_session_from_the_expired_one() {
    let mut t = recording();
    let conn = connect_from_socket(&mut t, 6_000);
    let id = t.session(conn);
    t.call(conn, &create("/mine", CreateMode::Ephemeral)).unwrap();
    t.call(conn, &CloseSession {}).unwrap();
    let last = t.core.explain("/mine").changes.pop().unwrap();
    assert_eq!(
        last.because,
        format!("deleted by the end of session {id}: closed by its client 127.0.0.1:5123")
    );
}

#[test]
fn explain_of_an_unknown_path_is_empty() {
    let t = recording();
    let explanation = t.core.explain("/none");
    assert_eq!(explanation.to_string(), "/none does not exist\n  nothing in the history has to do with it");
    assert_eq!(
        t.core.explain("/zookeeper").to_string(),
        "/zookeeper exists\n  it was there when the history began, and has not changed since"
    );
    assert!(Driver::new().core.explain("/none").to_string().contains("the history is off"));
}

#[test]
fn each_entry_is_a_line_that_tells_who_asked_and_what_came_of_it() {
    let mut t = recording();
    let conn = connect_from_socket(&mut t, 6_000);
    let watcher = t.connect(30_000);
    let (id, watching) = (t.session(conn), t.session(watcher));
    t.call(conn, &create("/a", CreateMode::Persistent)).unwrap();
    assert!(t.call(watcher, &get_data("/a", true)).is_ok());
    assert!(t.call(conn, &create("/a", CreateMode::Persistent)).is_err());
    t.call(conn, &set_data("/a", b"x", -1)).unwrap();
    let ops = vec![MultiOp::Delete(delete("/a")), MultiOp::Delete(delete("/none"))];
    t.call(conn, &Multi { ops }).unwrap();
    t.ping(conn);
    t.lose(conn);
    t.advance(20_000);
    assert_eq!(
        lines(&t),
        [
            format!("0x1     session {id}, client 127.0.0.1:5123: opened, timeout 6 s"),
            format!("0x2     session {watching}, client in this process: opened, timeout 30 s"),
            format!(
                "0x3     /a created by request 1 (create) of session {id}, client 127.0.0.1:5123: persistent, 0 bytes"
            ),
            format!("0x3     session {id}, client 127.0.0.1:5123, request 1: create /a: done"),
            format!(
                "0x3     session {watching}, client in this process, request 2: getData /a, with a watch: done"
            ),
            format!(
                "0x4     session {id}, client 127.0.0.1:5123, request 3: create /a: node already exists (-110)"
            ),
            format!(
                "0x5     /a changed by request 4 (setData) of session {id}, client 127.0.0.1:5123: data, now version 1"
            ),
            format!("0x5     event NodeDataChanged /a: told to session {watching}"),
            format!("0x5     session {id}, client 127.0.0.1:5123, request 4: setData /a: done"),
            format!(
                "0x6     session {id}, client 127.0.0.1:5123, request 5: multi: node does not exist (-101)"
            ),
            format!(
                "0x6     session {id}, client 127.0.0.1:5123: connection 1 lost, or closed by the client"
            ),
            format!(
                "0x7     session {id}: expired, last heard 8 s before, timeout 6 s, client 127.0.0.1:5123; it had 0 ephemeral nodes"
            ),
        ]
    );
    let kinds: Vec<_> = t.core.entries(0, usize::MAX).iter().map(|entry| entry.kind).collect();
    assert_eq!(kinds[9..], [EntryKind::Request, EntryKind::Disconnect, EntryKind::Expiry]);
}

#[test]
fn a_client_that_polls_does_not_push_out_the_changes() {
    let mut t = Driver::with(Config { history: 10, ..Config::default() });
    let conn = t.connect(10_000);
    t.call(conn, &create("/a", CreateMode::Persistent)).unwrap();
    for _ in 0..1_000 {
        t.call(conn, &get_data("/a", false)).unwrap();
    }
    assert_eq!(t.core.explain("/a").changes.len(), 1);
    let entries = t.core.entries(0, usize::MAX);
    assert_eq!(entries.len(), 12, "ten requests, an opened session, a change");
    assert!(entries.windows(2).all(|pair| pair[0].seq < pair[1].seq));
}

#[test]
fn long_paths_and_frames_without_sense_are_recorded_in_bounded_memory() {
    let mut t = Driver::with(Config { history: 4, ..Config::default() });
    let conn = t.connect(10_000);
    let long = format!("/{}é{}", "x".repeat(5_000), "y".repeat(5_000));
    for _ in 0..100 {
        t.reply(conn, &exists(&long, false));
        t.raw(conn, OpCode::EXISTS, &[0, 0]);
        t.raw(conn, OpCode::GET_DATA, &[0xff; 4]);
        t.raw(conn, OpCode::GET_DATA, b"\0\0\0\x02\xff\xfe\0");
    }
    let entries = t.core.entries(0, usize::MAX);
    let path = entries.iter().find_map(|entry| entry.path.clone().filter(|path| path.len() > 10)).unwrap();
    assert!(path.len() <= 1_024 && path.contains('…'), "{path}");
    t.call(conn, &create("/short", CreateMode::Persistent)).unwrap();
    t.input(Input::Closed { conn });
    assert_eq!(t.core.explain("/short").changes.len(), 1);
}

#[test]
fn a_fault_that_fired_is_an_entry_before_what_came_of_it() {
    let mut t = recording();
    let conn = connect_from_socket(&mut t, 6_000);
    let id = t.session(conn);
    let rule = Rule::new(On::create("/a"), Then::apply_and_lose_reply()).unwrap();
    t.core.add_fault(rule, None).unwrap();
    t.frame(conn, request(7, &create("/a", CreateMode::Persistent)));
    assert_eq!(
        lines(&t)[1..],
        [
            format!(
                "0x1     fault 1 at create /a: apply, then close the connection without the reply (session {id}, client 127.0.0.1:5123, request 7)"
            ),
            format!(
                "0x2     /a created by request 7 (create) of session {id}, client 127.0.0.1:5123: persistent, 0 bytes"
            ),
            format!("0x2     session {id}, client 127.0.0.1:5123, request 7: create /a: done"),
            format!("0x2     session {id}, client 127.0.0.1:5123: connection 1 closed by the server"),
        ]
    );
}

fn request<R: Request>(xid: i32, body: &R) -> Bytes {
    let mut frame = BytesMut::new();
    RequestHeader { xid: Xid(xid), op: R::OP }.encode(&mut frame);
    frame.extend_from_slice(&encode(body));
    frame.freeze()
}

#[test]
fn a_node_that_outlives_its_session_by_a_fault_says_so() {
    let mut t = recording();
    let conn = connect_from_socket(&mut t, 6_000);
    let id = t.session(conn);
    t.call(conn, &create("/a", CreateMode::Ephemeral)).unwrap();
    let rule = Rule::new(On::expiry(), Then::hold_ephemerals(Duration::from_secs(30))).unwrap();
    t.core.add_fault(rule, None).unwrap();
    t.advance(60_000);
    let last = t.core.explain("/a").changes.pop().unwrap();
    let end = "expired, last heard 8 s before, timeout 6 s, client 127.0.0.1:5123; a fault held it for 30 s";
    assert_eq!(last.because, format!("deleted by the end of session {id}: {end}"));
    assert_eq!(last.session, Some(id));
    let kinds: Vec<_> = t.core.entries(0, usize::MAX).iter().map(|entry| entry.kind).collect();
    assert_eq!(
        kinds[3..],
        [EntryKind::Fault, EntryKind::Expiry, EntryKind::Disconnect, EntryKind::Transaction]
    );
}

#[test]
fn the_same_inputs_give_the_same_history() {
    let run = || {
        let mut t = Driver::with(Config { history: 50, seed: 7, ..Config::default() });
        let conn = t.connect(6_000);
        for n in 0..40 {
            t.call(conn, &create(&format!("/{n}"), CreateMode::Ephemeral)).unwrap();
        }
        t.advance(60_000);
        t.core.entries(0, usize::MAX)
    };
    assert_eq!(run(), run());
}
