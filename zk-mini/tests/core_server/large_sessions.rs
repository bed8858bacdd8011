//! Ends of sessions with very many ephemeral nodes: in steps, between which other clients are served.

use zk_mini::core::{Change, Config, ConnId, Core, Input, On, Rule, Then};
use zk_wire::*;

use crate::driver::*;
use crate::invariants;

/// More nodes than two steps delete.
const MANY: usize = 2_500;

/// Maximum number of nodes that a step deletes.
const STEP: usize = 1_000;

fn path(number: usize) -> String {
    format!("/many/{number:04}")
}

/// Returns a driver, the connection of a session with many nodes and a timeout of four seconds, and one of another session.
fn many(config: Config) -> (Driver, ConnId, ConnId) {
    let mut t = Driver::with(config);
    let (owner, other) = (t.connect(4_000), t.connect(40_000));
    t.call(other, &create("/many", CreateMode::Persistent)).unwrap();
    for number in 0..MANY {
        t.call(owner, &create(&path(number), CreateMode::Ephemeral)).unwrap();
    }
    (t, owner, other)
}

fn ask_for_close(t: &mut Driver, conn: ConnId) -> Xid {
    let xid = Xid(1_000_000);
    t.frame(conn, encode(&RequestHeader { xid, op: OpCode::CLOSE_SESSION }));
    xid
}

/// Returns the nodes that each transaction from the nth on has deleted, with the type of the last one.
fn deleted(t: &Driver, first: usize) -> (Vec<usize>, bool) {
    let deleted = t.txns[first..].iter().map(|txn| match &txn.change {
        Change::Multi(changes) => {
            assert!(changes.iter().all(|change| matches!(change, Change::Delete { .. })));
            changes.len()
        }
        Change::CloseSession { ephemerals } => ephemerals.as_ref().expect("a list").len(),
        other => panic!("{other:?}"),
    });
    (deleted.collect(), matches!(t.txns.last().unwrap().change, Change::CloseSession { .. }))
}

#[test]
fn a_session_with_very_many_nodes_is_closed_in_steps_and_answered_at_the_end() {
    let (mut t, owner, other) = many(Config::default());
    t.call(other, &get_data(&path(0), true)).unwrap();
    t.call(other, &get_data(&path(MANY - 1), true)).unwrap();
    let (before, heard) = (t.txns.len(), t.heard(owner).len());
    let xid = ask_for_close(&mut t, owner);
    // What a client sends after its close is not answered.
    t.send(owner, &create("/late", CreateMode::Persistent));
    t.ping(owner);
    assert_eq!(t.heard(owner).len(), heard);
    assert_eq!(t.core.sessions().len(), 1, "it is gone for others");
    let (_, refused) = t.resume(&t.credentials(owner), 4_000);
    assert_eq!(refused.session_id, SessionId::NONE);

    let mut left = MANY;
    while t.core.poll_deadline().is_some_and(|due| due <= t.now.mono) {
        t.input(Input::Timeout);
        let now_left = t.core.ephemeral_count();
        assert!(now_left < left && left - now_left <= STEP, "{left} and then {now_left}");
        left = now_left;
        // Another client is served between two steps.
        let seen = t.call(other, &get_children("/many", false)).unwrap();
        assert_eq!(seen.children.len(), left);
    }
    assert_eq!(left, 0);
    assert_eq!(deleted(&t, before), (vec![STEP, STEP, MANY - 2 * STEP], true));
    let last = t.txns.last().unwrap();
    assert_eq!((last.session, last.xid), (t.session(owner), xid));
    let zxid = t.core.last_zxid().0;
    let reply = Heard::Reply { xid, zxid, err: ErrorCode::OK, body: bytes::Bytes::new() };
    assert_eq!(t.heard(owner)[heard..], [reply, Heard::Closed]);
    let gone = |number| (EventType::NODE_DELETED, path(number));
    assert_eq!(t.events(other), [gone(0), gone(MANY - 1)]);
    assert!(t.core.node("/late").is_none());
    invariants::check(&t.core);
}

#[test]
fn a_close_in_steps_goes_on_without_its_connection_and_with_a_clock_that_stands_still() {
    let (mut t, owner, _) = many(Config::default());
    ask_for_close(&mut t, owner);
    t.lose(owner);
    let mut steps = 0;
    while t.core.is_untidy() {
        t.core.tidy_up();
        t.drain();
        steps += 1;
    }
    assert_eq!((steps, t.core.ephemeral_count()), (3, 0));
    assert!(!t.is_closed(owner), "there is nobody to tell");
    assert_eq!(t.catch_up(), 0);
    invariants::check(&t.core);
}

#[test]
fn a_session_with_very_many_nodes_expires_in_steps_and_its_client_is_told_at_once() {
    let (mut t, owner, other) = many(Config::default());
    let before = t.txns.len();
    t.stall(10_000);
    t.ping(other);
    t.input(Input::Timeout);
    assert_eq!(t.expired, [t.session(owner)]);
    assert!(t.is_closed(owner));
    t.call(other, &exists(&path(MANY - 1), false)).expect("its turn has not come");
    assert!(t.catch_up() >= 2);
    assert_eq!(deleted(&t, before), (vec![STEP, STEP, MANY - 2 * STEP], true));
    assert_eq!(t.core.ephemeral_count(), 0);
    invariants::check(&t.core);
}

#[test]
fn a_session_that_is_ended_on_demand_ends_in_one_transaction() {
    let (mut t, owner, _) = many(Config::default());
    let before = t.txns.len();
    t.input(Input::Expire { session: t.session(owner) });
    assert_eq!(deleted(&t, before), (vec![MANY], true));
}

#[test]
fn a_session_with_a_thousand_nodes_ends_in_one_transaction() {
    let mut t = Driver::new();
    let conn = t.connect(4_000);
    for number in 0..STEP {
        t.call(conn, &create(&format!("/{number}"), CreateMode::Ephemeral)).unwrap();
    }
    let before = t.txns.len();
    let (_, err, _) = t.raw(conn, OpCode::CLOSE_SESSION, &[]);
    assert_eq!(err, ErrorCode::OK);
    assert!(t.is_closed(conn));
    assert_eq!(deleted(&t, before), (vec![STEP], true));
}

#[test]
fn rules_see_the_answer_to_a_close_whatever_it_has_to_delete() {
    let (mut t, owner, _) = many(Config::default());
    t.core
        .add_fault(Rule::new(On::op(OpCode::CLOSE_SESSION), Then::apply_and_lose_reply()).unwrap(), None)
        .unwrap();
    let heard = t.heard(owner).len();
    ask_for_close(&mut t, owner);
    assert_eq!(t.heard(owner)[heard..], [Heard::Closed]);
    assert_eq!(t.core.ephemeral_count(), 0);
}

#[test]
fn a_server_that_is_started_again_amid_the_steps_has_the_session_with_the_rest_of_its_nodes() {
    let (mut t, owner, _) = many(Config::default());
    ask_for_close(&mut t, owner);
    t.input(Input::Timeout);
    let image = t.core.image();
    let mut replayed = Core::new(Config::default());
    t.txns.iter().for_each(|txn| replayed.replay(t.now, txn.clone()));
    for core in [replayed, Core::restore(Config::default(), t.now, image)] {
        assert!(core.sessions().iter().any(|session| session.id == t.session(owner)));
        assert_eq!(core.ephemeral_count(), MANY - STEP);
        invariants::check(&core);
    }
}

#[test]
fn what_stands_still_deletes_no_nodes() {
    let (mut t, owner, _) = many(Config::default());
    ask_for_close(&mut t, owner);
    t.core.take_down();
    assert!(!t.core.is_untidy());
    t.core.tidy_up();
    t.input(Input::Timeout);
    assert_eq!(t.core.ephemeral_count(), MANY);
    t.core.bring_up(t.now);
    t.drain();
    assert_eq!(t.catch_up(), 3);
    assert_eq!(t.core.ephemeral_count(), 0);
    invariants::check(&t.core);
}

#[test]
fn each_node_that_goes_in_steps_has_its_audit_record_once() {
    let (mut t, owner, _) = many(Config { audit: true, ..Config::default() });
    let before = t.audited.len();
    ask_for_close(&mut t, owner);
    t.catch_up();
    let znodes: Vec<_> = t.audited[before..].iter().filter_map(|record| record.znode.clone()).collect();
    assert_eq!(znodes, (0..MANY).map(|number| ByteString::from(path(number))).collect::<Vec<_>>());
}

#[test]
fn transactions_of_steps_are_no_longer_than_allowed() {
    let (mut t, owner, _) = many(Config { max_transaction: 1_500, ..Config::default() });
    let before = t.txns.len();
    ask_for_close(&mut t, owner);
    t.catch_up();
    assert_eq!(t.core.ephemeral_count(), 0);
    for txn in &t.txns[before..] {
        if let Change::Multi(changes) = &txn.change {
            let bytes: usize = changes.iter().map(|_| 8 + 4 + path(0).len()).sum();
            assert!(!changes.is_empty() && bytes < 1_500);
        }
    }
}
