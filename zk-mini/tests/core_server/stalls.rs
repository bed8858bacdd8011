//! Stalls of the process: input that has arrived is handled before expiries, and many expiries are done in steps.

use zk_mini::core::{Compat, Config, ConnId, Input};
use zk_wire::*;

use crate::driver::*;
use crate::invariants;

const CONTAINER: OpCode = OpCode::CREATE_CONTAINER;

fn create_container(t: &mut Driver, conn: ConnId, path: &str) {
    let (_, err, _) = t.raw(conn, CONTAINER, &encode(&create(path, CreateMode::Container)));
    assert_eq!(err, ErrorCode::OK);
}

fn is_there(t: &Driver, path: &str) -> bool {
    t.core.node(path).is_some()
}

/// Creates a container whose only child belongs to a session of four seconds, and returns the connection of another,
/// longer session.
fn container_with_ephemeral(t: &mut Driver) -> ConnId {
    let other = t.connect(40_000);
    create_container(t, other, "/c");
    let leader = t.connect(4_000);
    t.call(leader, &create("/c/leader", CreateMode::Ephemeral)).unwrap();
    other
}

#[test]
fn a_ping_that_waited_through_a_stall_keeps_its_session_and_others_expire() {
    let mut t = Driver::new();
    let (alive, silent) = (t.connect(4_000), t.connect(4_000));
    t.stall(30_000);
    t.ping(alive);
    assert_eq!(t.core.sessions().len(), 2, "no session expires by the request of another");
    t.catch_up();
    assert_eq!(t.expired, [t.session(silent)]);
    assert!(t.is_closed(silent) && !t.is_closed(alive));
    t.advance(3_999);
    assert_eq!(t.core.sessions().len(), 1, "it has its whole timeout again");
    t.advance(2_001);
    assert_eq!(t.core.sessions().len(), 0);
}

#[test]
fn a_client_that_reconnects_after_a_stall_keeps_its_session() {
    let mut t = Driver::new();
    let conn = t.connect(4_000);
    t.call(conn, &create("/e", CreateMode::Ephemeral)).unwrap();
    t.lose(conn);
    let credentials = t.credentials(conn);
    t.stall(30_000);
    let (_, response) = t.resume(&credentials, 4_000);
    assert_eq!(response.session_id, credentials.id);
    t.catch_up();
    assert!(is_there(&t, "/e"));
}

#[test]
fn a_frame_that_waits_for_the_disk_is_a_sign_of_life() {
    let mut t = Driver::new();
    let (waiting, silent, new) = (t.connect(4_000), t.connect(4_000), t.accept());
    t.stall(30_000);
    t.input(Input::Waiting { conn: waiting });
    t.input(Input::Waiting { conn: new });
    t.catch_up();
    assert_eq!(t.expired, [t.session(silent)]);
}

#[test]
fn a_container_emptied_by_an_expiry_waits_for_the_next_check() {
    let mut t = Driver::new();
    t.advance(54_500);
    container_with_ephemeral(&mut t);
    // The session expires at 60 s, when a check is due, too.
    t.advance(5_500);
    assert!(!is_there(&t, "/c/leader") && is_there(&t, "/c"));
    t.advance(59_999);
    assert!(is_there(&t, "/c"));
    t.advance(1);
    assert!(!is_there(&t, "/c"), "it is deleted at this check");
}

#[test]
fn after_a_stall_containers_are_checked_before_sessions_expire() {
    let mut t = Driver::new();
    let other = container_with_ephemeral(&mut t);
    create_container(&mut t, other, "/empty");
    t.call(other, &create("/empty/child", CreateMode::Persistent)).unwrap();
    t.call(other, &delete("/empty/child")).unwrap();
    t.stall(70_000);
    t.ping(other);
    t.catch_up();
    assert!(!is_there(&t, "/empty"), "it was empty");
    assert!(!is_there(&t, "/c/leader") && is_there(&t, "/c"));
    // A client that gets the event has time to create a new child.
    t.call(other, &create("/c/leader", CreateMode::Persistent)).unwrap();
    t.stall(50_000);
    t.catch_up();
    assert!(is_there(&t, "/c"));
}

#[test]
fn a_request_that_waited_through_a_stall_keeps_its_container() {
    let mut t = Driver::new();
    let other = t.connect(40_000);
    create_container(&mut t, other, "/c");
    t.call(other, &create("/c/child", CreateMode::Persistent)).unwrap();
    t.call(other, &delete("/c/child")).unwrap();
    t.stall(70_000);
    t.call(other, &create("/c/again", CreateMode::Persistent)).unwrap();
    t.catch_up();
    assert!(is_there(&t, "/c/again"));
}

#[test]
fn a_container_created_after_an_idle_check_waits_for_the_next() {
    let mut t = Driver::new();
    let conn = t.connect(40_000);
    for _ in 0..5 {
        t.advance(20_000);
        t.ping(conn);
    }
    create_container(&mut t, conn, "/c");
    t.call(conn, &create("/c/child", CreateMode::Persistent)).unwrap();
    t.call(conn, &delete("/c/child")).unwrap();
    t.input(Input::Timeout);
    assert!(is_there(&t, "/c"), "it is 100 s, and checks are at 60 s and 120 s");
    t.advance(20_000);
    assert!(!is_there(&t, "/c"));
}

#[test]
fn many_sessions_expire_in_steps_and_a_sign_of_life_in_between_counts() {
    let mut t = Driver::new();
    let conns: Vec<_> = (0..5_000).map(|_| t.connect(4_000)).collect();
    t.stall(30_000);
    t.input(Input::Timeout);
    let first = t.expired.len();
    assert!((1..=1_000).contains(&first), "{first} in one step");
    let last = conns[4_999];
    t.ping(last);
    let steps = t.catch_up();
    assert!(steps >= 4, "{steps}");
    assert_eq!(t.expired.len(), 4_999);
    assert!(!t.is_closed(last));
}

#[test]
fn nodes_of_expired_sessions_count_in_a_step() {
    let mut t = Driver::new();
    for session in 0..4 {
        let conn = t.connect(4_000);
        for node in 0..600 {
            t.call(conn, &create(&format!("/{session}-{node}"), CreateMode::Ephemeral)).unwrap();
        }
    }
    t.stall(30_000);
    t.input(Input::Timeout);
    assert_eq!(t.expired.len(), 2);
    assert_eq!(t.core.ephemeral_count(), 1_200);
    assert_eq!(t.catch_up(), 1);
    assert_eq!(t.core.ephemeral_count(), 0);
}

#[test]
fn many_containers_are_deleted_in_steps_before_a_session_expires() {
    let mut t = Driver::with(Config { max_session_timeout: Some(Millis(1_000_000)), ..Config::default() });
    let conn = t.connect(1_000_000);
    for n in 0..2_500 {
        let (container, child) = (format!("/{n}"), format!("/{n}/child"));
        create_container(&mut t, conn, &container);
        t.call(conn, &create(&child, CreateMode::Persistent)).unwrap();
        t.call(conn, &delete(&child)).unwrap();
    }
    create_container(&mut t, conn, "/9999");
    let leader = t.connect(4_000);
    t.call(leader, &create("/9999/leader", CreateMode::Ephemeral)).unwrap();
    t.stall(70_000);
    let before = t.core.node_count();
    t.input(Input::Timeout);
    assert_eq!(t.core.node_count(), before - 1_000);
    assert!(t.expired.is_empty());
    // A client recreates a child in the container that is next.
    t.call(conn, &create("/999/again", CreateMode::Persistent)).unwrap();
    assert_eq!(t.catch_up(), 2);
    assert_eq!(t.expired.len(), 1);
    assert!(is_there(&t, "/999/again") && is_there(&t, "/9999") && !is_there(&t, "/9999/leader"));
    assert_eq!(t.core.node_count(), before - 2_499 - 1 + 1);
}

#[test]
fn watches_of_a_closed_connection_end_at_once_and_are_freed_in_steps() {
    for compat in [Compat::V3_8, Compat::V3_9] {
        let mut t = Driver::compat(compat);
        let (going, staying) = (t.connect(10_000), t.connect(10_000));
        for n in 0..3_000 {
            let path = format!("/{n:04}");
            t.call(going, &exists(&path, true)).unwrap_err();
            t.call(going, &AddWatch { path: path.into(), mode: 1 }).unwrap();
        }
        t.call(staying, &exists("/0000", true)).unwrap_err();
        t.lose(going);
        let left = [("/0000".into(), vec![staying])];
        let is_exact = |t: &Driver| {
            assert_eq!(t.core.watch_count(), 1);
            assert_eq!(t.core.data_watches(), left);
            assert_eq!(t.core.child_watches(), []);
        };
        is_exact(&t);
        let check = |path: &str| CheckWatches { path: path.into(), watcher_type: 2 };
        for path in ["/0001", "/1500", "/2999"] {
            assert_eq!(t.call(staying, &check(path)).unwrap_err(), ErrorCode::NO_WATCHER);
        }
        // Its events, and those below its recursive watches, are sent to no connection.
        let heard = t.heard(going).len();
        for path in ["/2000", "/2000/below", "/0000"] {
            t.call(staying, &create(path, CreateMode::Persistent)).unwrap();
        }
        assert_eq!(t.heard(going).len(), heard);
        assert_eq!(t.events(staying), [(EventType::NODE_CREATED, "/0000".into())]);
        t.call(staying, &exists("/0000", true)).unwrap();
        let mut steps = 0;
        while t.core.is_untidy() {
            is_exact(&t);
            t.core.tidy_up();
            steps += 1;
        }
        assert!(steps >= 3, "{steps}");
        is_exact(&t);
        invariants::check(&t.core);
    }
}

#[test]
fn a_few_watches_are_freed_with_their_connection() {
    let mut t = Driver::new();
    let conn = t.connect(10_000);
    for n in 0..50 {
        t.call(conn, &exists(&format!("/{n}"), true)).unwrap_err();
    }
    t.lose(conn);
    assert!(!t.core.is_untidy());
}
