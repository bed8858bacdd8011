//! One-shot watches whose handles are gone: withdrawn at the server.

use common::Millis;
use zk_wire::{ErrorCode, EventType, OpCode, RemoveWatches};

use super::rig::Rig;
use crate::session::Input;
use crate::session::WatchKind::{self, Child, Data, Exist, Persistent, Recursive};

/// Makes a call that sets a watch, and the server answers it.
fn set(rig: &mut Rig, id: u64, kind: WatchKind) {
    rig.watch(id, kind, "/a");
    let (op, err) = match kind {
        Data => (OpCode::GET_DATA, ErrorCode::OK),
        Exist => (OpCode::EXISTS, ErrorCode::NO_NODE),
        Child => (OpCode::GET_CHILDREN2, ErrorCode::OK),
        Persistent | Recursive => (OpCode::ADD_WATCH, ErrorCode::OK),
    };
    rig.answer(op, 5, err);
}

/// The withdrawals that the server has not answered: paths with types.
fn withdrawn(rig: &Rig) -> Vec<(String, i32)> {
    let sent = rig.received.iter().filter(|(header, _)| header.op == OpCode::REMOVE_WATCHES);
    let decoded = sent.map(|(_, body)| zk_wire::decode_all::<RemoveWatches>(body.clone()).unwrap());
    decoded.map(|request| (request.path.to_string(), request.watcher_type)).collect()
}

#[test]
fn a_watch_that_was_not_told_is_withdrawn_by_its_type() {
    for (kind, expected) in [(Data, 2), (Exist, 2), (Child, 1)] {
        let mut rig = Rig::live();
        set(&mut rig, 1, kind);
        rig.forget(1);
        assert_eq!(withdrawn(&rig), [("/a".to_owned(), expected)], "{kind:?}");
        // The event was under way already.
        rig.answer(OpCode::REMOVE_WATCHES, 6, ErrorCode::NO_WATCHER);
        rig.call(2, OpCode::GET_DATA);
        rig.answer(OpCode::GET_DATA, 6, ErrorCode::OK);
        assert!(rig.completed[&2].is_ok(), "the connection stays");
    }
}

#[test]
fn a_watch_that_was_told_or_whose_call_failed_is_not_withdrawn() {
    let mut rig = Rig::live();
    set(&mut rig, 1, Data);
    rig.event(EventType::NODE_DATA_CHANGED, "/a");
    rig.forget(1);
    rig.watch(2, Data, "/a");
    rig.forget(2);
    rig.answer(OpCode::GET_DATA, 6, ErrorCode::NO_NODE);
    assert_eq!(rig.ops(), []);
}

#[test]
fn a_handle_that_is_dropped_before_the_answer_withdraws_its_watch_then() {
    let mut rig = Rig::live();
    rig.watch(1, Exist, "/a");
    rig.forget(1);
    assert_eq!(rig.ops(), [OpCode::EXISTS]);
    rig.answer(OpCode::EXISTS, 5, ErrorCode::OK);
    assert_eq!(withdrawn(&rig), [("/a".to_owned(), 2)]);
}

#[test]
fn a_watch_that_another_handle_has_or_sets_stays() {
    // To a server the watches of data and of existence are one.
    for other in [Data, Exist] {
        let mut rig = Rig::live();
        set(&mut rig, 1, Data);
        set(&mut rig, 2, other);
        rig.forget(1);
        assert_eq!(rig.ops(), [], "{other:?}");
        rig.forget(2);
        assert_eq!(withdrawn(&rig).len(), 1, "{other:?}");

        let mut rig = Rig::live();
        set(&mut rig, 1, Data);
        rig.watch(2, other, "/a");
        rig.forget(1);
        assert_eq!(withdrawn(&rig), [], "{other:?} is under way");
    }
    let mut rig = Rig::live();
    set(&mut rig, 1, Data);
    set(&mut rig, 2, Child);
    rig.forget(1);
    assert_eq!(withdrawn(&rig), [("/a".to_owned(), 2)], "children have watches of their own");
}

#[test]
fn beside_a_lasting_watch_a_one_shot_one_is_left_alone() {
    // Servers before 3.9 would remove a part of the lasting one.
    for lasting in [Persistent, Recursive] {
        for kind in [Data, Child] {
            let mut rig = Rig::live();
            set(&mut rig, 1, kind);
            set(&mut rig, 2, lasting);
            rig.forget(1);
            assert_eq!(withdrawn(&rig), []);
            rig.forget(2);
            assert_eq!(withdrawn(&rig), [("/a".to_owned(), 3)], "all that are left");
        }
    }
}

#[test]
fn thousands_that_are_dropped_at_once_are_withdrawn_a_few_at_a_time() {
    let mut rig = Rig::live();
    for id in 0..1_000 {
        rig.watch(id, Data, &format!("/{id}"));
        rig.answer(OpCode::GET_DATA, 5, ErrorCode::OK);
    }
    for id in 0..1_000 {
        rig.forget(id);
    }
    // One is used again before its turn comes.
    rig.watch(1_000, Data, "/999");
    assert_eq!(withdrawn(&rig).len(), 64);
    let mut paths = Vec::new();
    while let Some((path, _)) = withdrawn(&rig).first().cloned() {
        assert!(withdrawn(&rig).len() <= 64);
        paths.push(path);
        if rig.ops()[0] == OpCode::GET_DATA {
            rig.answer(OpCode::GET_DATA, 5, ErrorCode::OK);
        }
        rig.answer(OpCode::REMOVE_WATCHES, 5, ErrorCode::OK);
    }
    assert_eq!(paths.len(), 999);
    assert!(!paths.contains(&"/999".to_owned()), "it has a handle");
}

#[test]
fn nothing_is_withdrawn_that_goes_with_its_connection_or_session() {
    let mut rig = Rig::live();
    for id in 0..200 {
        rig.watch(id, Data, &format!("/{id}"));
        rig.answer(OpCode::GET_DATA, 5, ErrorCode::OK);
    }
    for id in 0..100 {
        rig.forget(id);
    }
    rig.lose();
    rig.forget(150);
    rig.attach_again();
    assert_eq!(rig.ops(), [OpCode::SET_WATCHES]);
    assert_eq!(rig.set_watches()[0].data_watches.len(), 99);
    rig.answer(OpCode::SET_WATCHES, 5, ErrorCode::OK);
    rig.input(Input::Close { deadline: Millis(rig.now + 5_000) });
    rig.forget(151);
    assert_eq!(rig.ops(), [OpCode::CLOSE_SESSION]);
}
