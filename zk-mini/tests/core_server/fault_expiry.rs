//! Nodes of expired sessions that a rule holds: the gap between the end of a session and the end of its nodes.

use std::time::Duration;

use zk_mini::core::{Change, Config, ConnId, Core, FaultId, Input, Replacement};
use zk_mini::{On, Rule, Then};
use zk_wire::*;

use crate::driver::*;
use crate::invariants;

fn hold(t: &mut Driver, on: On, millis: u64) -> FaultId {
    let rule = Rule::new(on, Then::hold_ephemerals(Duration::from_millis(millis))).unwrap();
    t.core.add_fault(rule, None).unwrap()
}

/// A session with two ephemeral nodes, and one that watches them and lives long.
fn dying_and_watching(t: &mut Driver) -> (ConnId, ConnId) {
    let (dying, watching) = (t.connect(4_000), t.connect(40_000));
    for path in ["/a", "/b"] {
        t.call(dying, &create(path, CreateMode::Ephemeral)).unwrap();
        t.call(watching, &exists(path, true)).unwrap();
    }
    (dying, watching)
}

#[test]
fn very_many_nodes_that_are_held_go_in_one_transaction_too() {
    let mut t = Driver::new();
    hold(&mut t, On::expiry(), 7_500);
    let dying = t.connect(4_000);
    for number in 0..1_500 {
        t.call(dying, &create(&format!("/{number}"), CreateMode::Ephemeral)).unwrap();
    }
    t.advance(13_499);
    let txns = t.txns.len();
    assert!(t.core.node("/0").is_some() && t.core.node("/1499").is_some());
    t.advance(14_000);
    assert_eq!(t.txns.len(), txns + 1);
    assert!(t.core.node("/0").is_none() && t.core.node("/1499").is_none());
}

#[test]
fn the_session_is_gone_at_once_and_its_nodes_go_at_the_end_in_one_transaction() {
    let mut t = Driver::new();
    let rule = hold(&mut t, On::expiry(), 7_500);
    let (dying, watching) = dying_and_watching(&mut t);
    let (id, txns) = (t.session(dying), t.txns.len());
    t.advance(6_000);
    assert_eq!(t.expired, [id]);
    assert!(t.is_closed(dying));
    assert_eq!(t.core.sessions().len(), 1, "it is not listed");
    let (_, answer) = t.resume(&t.credentials(dying), 4_000);
    assert_eq!(answer.session_id, SessionId::NONE, "and cannot be resumed");
    assert_eq!(t.txns.len(), txns, "no transaction tells of it");
    assert_eq!(t.core.node("/a").unwrap().stat.ephemeral_owner, id, "its nodes keep their owner");
    t.advance(7_499);
    assert_eq!((t.events(watching), t.core.ephemeral_count()), (vec![], 2));
    t.advance(1);
    let gone = |path: &str| (EventType::NODE_DELETED, path.to_string());
    assert_eq!(t.events(watching), [gone("/a"), gone("/b")]);
    let closed = &t.txns[txns..];
    assert_eq!(closed.len(), 1);
    assert_eq!((closed[0].session, closed[0].zxid), (id, Zxid(5)));
    assert_eq!(closed[0].change, Change::CloseSession { ephemerals: Some(vec!["/a".into(), "/b".into()]) });
    assert_eq!(t.expired, [id], "it expires once");
    assert_eq!(t.core.fault_hits(rule)[0].to_string(), format!("expiry, session {id}, connection 1"));
    invariants::check(&t.core);
}

#[test]
fn a_forced_expiry_is_one_too_and_the_end_of_a_session_by_its_client_is_none() {
    let mut t = Driver::new();
    let rule = hold(&mut t, On::expiry(), 1_000);
    let (dying, watching) = dying_and_watching(&mut t);
    let session = t.session(dying);
    t.input(Input::Expire { session });
    assert_eq!((t.core.session_count(), t.core.ephemeral_count()), (1, 2));
    t.input(Input::Expire { session });
    assert_eq!(t.core.fault_hits(rule).len(), 1, "it cannot expire again");
    t.advance(1_000);
    assert_eq!(t.core.ephemeral_count(), 0);
    t.call(watching, &create("/c", CreateMode::Ephemeral)).unwrap();
    t.call(watching, &CloseSession {}).unwrap();
    assert_eq!((t.core.ephemeral_count(), t.core.fault_hits(rule).len()), (0, 1));
}

#[test]
fn held_nodes_are_nodes_as_others_and_one_that_is_deleted_meanwhile_is_not_missed() {
    let mut t = Driver::new();
    hold(&mut t, On::expiry().nth(1), 10_000);
    let (_, watching) = dying_and_watching(&mut t);
    t.advance(6_000);
    t.call(watching, &delete("/a")).unwrap();
    t.call(watching, &create("/a", CreateMode::Ephemeral)).unwrap();
    t.call(watching, &set_data("/b", b"x", -1)).unwrap();
    t.advance(10_000);
    assert!(t.core.node("/a").is_some(), "it has another owner");
    assert!(t.core.node("/b").is_none());
}

#[test]
fn a_hold_of_nothing_is_none_and_another_rule_has_its_turn_when_the_first_is_used_up() {
    let mut t = Driver::new();
    let zero = hold(&mut t, On::expiry().times(1), 0);
    let second = hold(&mut t, On::expiry(), 1_000);
    let (dying, watching) = dying_and_watching(&mut t);
    t.input(Input::Expire { session: t.session(dying) });
    assert_eq!(t.core.ephemeral_count(), 0);
    t.call(watching, &create("/c", CreateMode::Ephemeral)).unwrap();
    t.input(Input::Expire { session: t.session(watching) });
    assert_eq!(t.core.ephemeral_count(), 1);
    assert_eq!([zero, second].map(|id| t.core.fault_hits(id).len()), [1, 1]);
}

#[test]
fn in_an_image_and_in_a_log_the_session_is_alive_until_its_hold_ends() {
    let mut t = Driver::new();
    hold(&mut t, On::expiry(), 7_000);
    let (dying, _) = dying_and_watching(&mut t);
    let id = t.session(dying);
    t.advance(6_000);
    let image = t.core.image();
    assert!(image.sessions.contains(&(id, Millis(4_000))) && image.sessions.is_sorted());
    let mut restored = Core::restore(Config::default(), t.now, image);
    assert!(!restored.recovered(t.now), "nothing is orphaned");
    assert_eq!(restored.sessions().len(), 2);
    let mut replayed = Core::new(Config::default());
    for txn in &t.txns {
        replayed.replay(t.now, txn.clone());
    }
    assert_eq!(replayed.image(), t.core.image());

    // There it ends once more, by its timeout.
    let at = t.now.mono + Millis(6_000);
    restored.handle(zk_mini::core::Now { mono: at, ..t.now }, Input::Timeout);
    assert_eq!(restored.ephemeral_count(), 0);

    t.advance(7_000);
    assert_eq!(t.core.image().sessions.len(), 1);
    replayed.replay(t.now, t.txns.last().unwrap().clone());
    assert_eq!(replayed.image(), t.core.image());
}

#[test]
fn a_hold_outlives_the_loss_of_the_disk_and_ends_when_the_disk_is_back() {
    let mut t = Driver::new();
    hold(&mut t, On::expiry(), 3_000);
    let (dying, _) = dying_and_watching(&mut t);
    let id = t.session(dying);
    t.advance(6_000);
    let mut durable = Core::new(Config::default());
    for txn in &t.txns {
        durable.replay(t.now, txn.clone());
    }
    durable.recovered(t.now);
    t.core.go_back(durable);
    assert_eq!(t.core.sessions().len(), 1, "it does not come back to life");
    assert_eq!(t.core.faults().len(), 1);
    t.stall(10_000);
    assert_eq!(t.core.poll_deadline(), None);
    t.core.accept_writes(t.now);
    t.catch_up();
    assert_eq!(t.core.ephemeral_count(), 0);
    assert_eq!(t.txns.last().unwrap().session, id);
}

#[test]
fn a_hold_of_a_session_that_the_disk_has_lost_is_dropped() {
    let mut t = Driver::new();
    hold(&mut t, On::expiry(), 3_000);
    let (_, watching) = dying_and_watching(&mut t);
    t.advance(6_000);
    t.core.go_back(Core::new(Config::default()));
    t.core.accept_writes(t.now);
    assert_eq!(t.core.poll_deadline(), None);
    assert_eq!(t.core.last_zxid(), Zxid(0));
    let _ = watching;
}

#[test]
fn a_session_without_nodes_can_be_held_and_many_holds_end_in_steps() {
    let mut t = Driver::new();
    hold(&mut t, On::expiry(), 1_000);
    for n in 0..1_500 {
        let conn = t.connect(4_000);
        if n % 2 == 0 {
            t.call(conn, &create(&format!("/{n}"), CreateMode::Ephemeral)).unwrap();
        }
        let session = t.session(conn);
        t.input(Input::Expire { session });
    }
    assert_eq!((t.core.session_count(), t.core.ephemeral_count()), (0, 750));
    t.stall(1_000);
    assert!(t.catch_up() > 1, "a step has a bounded duration");
    assert_eq!(t.core.ephemeral_count(), 0);
    assert_eq!(t.core.poll_deadline(), None);
}

#[test]
fn a_hold_outlives_a_restart_and_ends_with_the_state() {
    let mut t = Driver::new();
    hold(&mut t, On::expiry(), 9_000);
    let (dying, _) = dying_and_watching(&mut t);
    let (id, image) = (t.session(dying), t.core.image());
    t.advance(6_000);
    t.core.restart(t.now);
    t.drain();
    assert!(t.core.sessions().iter().all(|session| session.id != id));
    let before = Core::of_image(Config::default(), t.now, image);
    t.core.replace(t.now, before, Replacement::Restored);
    t.drain();
    assert!(t.core.sessions().iter().any(|session| session.id == id), "a restored session lives on");
    t.advance(6_000);
    assert_eq!(t.expired, [id, id], "until it expires in that state");
    t.advance(9_000);
    assert_eq!(t.core.ephemeral_count(), 0);
}
