//! Watches that stay: persistent and persistent recursive ones.

use zk_wire::{AddWatch, ErrorCode, EventType, GetData, OpCode, RemoveWatches, SessionId, Zxid};

use super::rig::{Rig, SESSION};
use crate::session::WatchKind::{Child, Data, Persistent, Recursive};
use crate::session::{CallFailure, Input};
use crate::session_state::WatchLost;

/// The updates since the last look: handle, event, path; `None` where some may have been missed.
fn updates(rig: &mut Rig) -> Vec<(u64, Option<(EventType, String)>)> {
    let updates = rig.updates.drain(..);
    updates.map(|(id, event)| (id, event.map(|event| (event.event, event.path.to_string())))).collect()
}

fn changed(id: u64, event: EventType, path: &str) -> (u64, Option<(EventType, String)>) {
    (id, Some((event, path.to_owned())))
}

#[test]
fn a_lasting_watch_tells_every_change_in_order() {
    let mut rig = Rig::live();
    rig.set_lasting(1, Persistent, "/a");
    rig.set_lasting(2, Recursive, "/a");
    for _ in 0..2 {
        rig.event(EventType::NODE_CREATED, "/a");
        rig.event(EventType::NODE_DATA_CHANGED, "/a/b");
        rig.event(EventType::NODE_DELETED, "/a");
        assert_eq!(
            updates(&mut rig),
            [
                changed(1, EventType::NODE_CREATED, "/a"),
                changed(2, EventType::NODE_CREATED, "/a"),
                changed(2, EventType::NODE_DATA_CHANGED, "/a/b"),
                changed(1, EventType::NODE_DELETED, "/a"),
                changed(2, EventType::NODE_DELETED, "/a"),
            ]
        );
    }
}

#[test]
fn a_refused_watch_tells_nothing() {
    let mut rig = Rig::live();
    rig.watch(1, Persistent, "/a");
    rig.answer(OpCode::ADD_WATCH, 5, ErrorCode::UNIMPLEMENTED);
    assert_eq!(rig.completed[&1], Err(CallFailure::Server(ErrorCode::UNIMPLEMENTED)));
    rig.event(EventType::NODE_CREATED, "/a");
    assert_eq!(rig.updates, []);
}

#[test]
fn after_a_reconnect_it_is_set_again_and_says_once_that_it_may_have_missed_something() {
    let mut rig = Rig::live();
    rig.set_lasting(1, Persistent, "/a");
    rig.set_lasting(2, Recursive, "/b");
    rig.lose();
    // Set on the new connection, it misses nothing.
    rig.watch(3, Persistent, "/c");
    rig.attach_again();
    assert_eq!(rig.ops(), [OpCode::SET_WATCHES2, OpCode::ADD_WATCH]);
    let request = &rig.set_watches()[0];
    assert_eq!(request.persistent_watches, ["/a"]);
    assert_eq!(request.persistent_recursive_watches, ["/b"]);
    assert_eq!(rig.updates, [], "not before it is set");
    rig.event(EventType::NODE_CREATED, "/a");
    rig.answer(OpCode::SET_WATCHES2, 9, ErrorCode::OK);
    rig.answer(OpCode::ADD_WATCH, 9, ErrorCode::OK);
    rig.event(EventType::NODE_CREATED, "/b/x");
    assert_eq!(
        updates(&mut rig),
        [
            changed(1, EventType::NODE_CREATED, "/a"),
            (1, None),
            (2, None),
            changed(2, EventType::NODE_CREATED, "/b/x")
        ]
    );
}

#[test]
fn it_outlives_its_session() {
    let mut rig = Rig::live();
    rig.set_lasting(1, Persistent, "/a");
    rig.watch(2, Data, "/a");
    rig.answer(OpCode::GET_DATA, 5, ErrorCode::OK);
    rig.lose();
    rig.accept();
    rig.give_session(SessionId::NONE);
    assert_eq!(rig.fired[&2], Err(WatchLost::SessionExpired));
    rig.advance_to_connect();
    rig.accept();
    rig.give_session(SessionId(0x52));
    assert_eq!(rig.set_watches()[0].persistent_watches, ["/a"]);
    rig.answer(OpCode::SET_WATCHES2, 9, ErrorCode::OK);
    rig.event(EventType::NODE_DELETED, "/a");
    assert_eq!(updates(&mut rig), [(1, None), changed(1, EventType::NODE_DELETED, "/a")]);
}

#[test]
fn the_last_handle_withdraws_it() {
    let mut rig = Rig::live();
    rig.set_lasting(1, Recursive, "/a");
    rig.set_lasting(2, Recursive, "/a");
    rig.forget(1);
    assert_eq!(rig.ops(), [], "another handle has the same watch");
    rig.forget(2);
    let request: RemoveWatches = rig.newest();
    assert_eq!((&*request.path, request.watcher_type), ("/a", 3), "every server knows this type");
    // Gone already, for whatever reason.
    rig.answer(OpCode::REMOVE_WATCHES, 5, ErrorCode::NO_WATCHER);
    rig.call(3, OpCode::GET_DATA);
    rig.answer(OpCode::GET_DATA, 5, ErrorCode::OK);
    assert!(rig.completed[&3].is_ok(), "the connection stays");
    rig.lose();
    rig.attach_again();
    assert_eq!(rig.ops(), []);
}

#[test]
fn one_shot_watches_on_its_path_are_set_again_when_it_is_withdrawn() {
    for kind in [Persistent, Recursive] {
        let mut rig = Rig::live();
        for (id, one_shot, op) in [(1, Child, OpCode::GET_CHILDREN2), (2, Data, OpCode::GET_DATA)] {
            rig.watch(id, one_shot, "/a");
            rig.answer(op, 7, ErrorCode::OK);
        }
        rig.set_lasting(3, kind, "/a");
        rig.forget(3);
        assert_eq!(rig.ops(), [OpCode::REMOVE_WATCHES, OpCode::SET_WATCHES]);
        let again = &rig.set_watches()[0];
        assert_eq!(
            (&again.data_watches[..], &again.child_watches[..]),
            (&["/a".into()][..], &["/a".into()][..])
        );
        assert_eq!(again.relative_zxid, Zxid(7), "what changes in between is told");
        rig.answer(OpCode::REMOVE_WATCHES, 7, ErrorCode::OK);
        rig.answer(OpCode::SET_WATCHES, 7, ErrorCode::OK);
        assert_eq!((rig.updates.len(), rig.fired.len()), (0, 0));
    }
}

#[test]
fn it_is_withdrawn_alone_where_another_lasting_watch_stands_or_others_are_under_way() {
    for (kind, other, expected) in [(Persistent, Recursive, 4), (Recursive, Persistent, 5)] {
        let mut rig = Rig::live();
        rig.set_lasting(1, other, "/a");
        rig.set_lasting(2, kind, "/a");
        while !rig.received.is_empty() {
            rig.answer(OpCode::ADD_WATCH, 5, ErrorCode::OK);
        }
        rig.forget(2);
        assert_eq!(rig.newest::<RemoveWatches>().watcher_type, expected);

        let mut rig = Rig::live();
        rig.set_lasting(2, kind, "/a");
        rig.watch(1, Data, "/a");
        rig.forget(2);
        assert_eq!(rig.newest::<RemoveWatches>().watcher_type, expected);
    }
}

#[test]
fn a_handle_that_is_dropped_before_the_answer_withdraws_it_too() {
    let mut rig = Rig::live();
    rig.watch(1, Persistent, "/a");
    rig.forget(1);
    assert_eq!(rig.ops(), [OpCode::ADD_WATCH]);
    rig.answer(OpCode::ADD_WATCH, 5, ErrorCode::OK);
    assert_eq!(rig.newest::<RemoveWatches>().path, "/a");

    // A second handle takes it over.
    let mut rig = Rig::live();
    rig.set_lasting(1, Persistent, "/a");
    rig.watch(2, Persistent, "/a");
    rig.forget(1);
    rig.answer(OpCode::ADD_WATCH, 5, ErrorCode::OK);
    assert_eq!(rig.ops(), []);
    rig.event(EventType::NODE_CREATED, "/a");
    assert_eq!(updates(&mut rig), [changed(2, EventType::NODE_CREATED, "/a")]);
}

#[test]
fn nothing_is_withdrawn_without_a_connection_or_while_closing() {
    let mut rig = Rig::live();
    rig.set_lasting(1, Persistent, "/a");
    rig.set_lasting(2, Persistent, "/b");
    rig.lose();
    rig.forget(1);
    rig.attach_again();
    assert_eq!(rig.set_watches()[0].persistent_watches, ["/b"]);
    let deadline = common::Millis(rig.now + 5_000);
    rig.input(Input::Close { deadline });
    rig.forget(2);
    assert_eq!(rig.ops(), [OpCode::SET_WATCHES2, OpCode::CLOSE_SESSION]);
    assert_eq!(rig.states.last(), Some(&crate::session_state::SessionState::Connected(SESSION)));
}

#[test]
fn it_is_set_again_after_another_watch_on_its_path() {
    let mut rig = Rig::live();
    rig.set_lasting(1, Persistent, "/a");
    rig.watch(2, Data, "/a");
    rig.answer(OpCode::GET_DATA, 5, ErrorCode::OK);
    assert_eq!(rig.newest::<AddWatch>().mode, 0);
    rig.answer(OpCode::ADD_WATCH, 5, ErrorCode::OK);
    rig.event(EventType::NODE_DATA_CHANGED, "/a");
    assert!(rig.fired[&2].is_ok());
    assert_eq!(updates(&mut rig), [changed(1, EventType::NODE_DATA_CHANGED, "/a")]);

    // The recursive one hears most, and is the last.
    rig.set_lasting(3, Recursive, "/a");
    assert_eq!(rig.ops(), []);
    rig.set_lasting(4, Persistent, "/a");
    assert_eq!(rig.newest::<AddWatch>().mode, 1);
    rig.answer(OpCode::ADD_WATCH, 5, ErrorCode::OK);
    rig.watch(5, Child, "/a");
    rig.answer(OpCode::GET_CHILDREN2, 5, ErrorCode::OK);
    assert_eq!(rig.newest::<AddWatch>().mode, 1);
    rig.answer(OpCode::ADD_WATCH, 5, ErrorCode::OK);
    rig.event(EventType::NODE_CREATED, "/a/b");
    assert_eq!(rig.fired[&5].clone().unwrap().event, EventType::NODE_CHILDREN_CHANGED);
    assert_eq!(
        updates(&mut rig),
        [
            changed(3, EventType::NODE_CREATED, "/a/b"),
            changed(1, EventType::NODE_CHILDREN_CHANGED, "/a"),
            changed(4, EventType::NODE_CHILDREN_CHANGED, "/a")
        ]
    );

    rig.forget(3);
    assert_eq!(rig.ops(), [OpCode::ADD_WATCH, OpCode::REMOVE_WATCHES]);
    assert_eq!(rig.newest::<RemoveWatches>().watcher_type, 5);
    rig.answer(OpCode::ADD_WATCH, 5, ErrorCode::OK);
    rig.answer(OpCode::REMOVE_WATCHES, 5, ErrorCode::MARSHALLING_ERROR);
    assert_eq!(rig.states.last(), Some(&crate::session_state::SessionState::Connected(SESSION)));
}

#[test]
fn it_says_that_it_may_have_missed_what_happened_until_it_is_set_again() {
    // Another watch takes its place on the path, and a transaction comes before it is set again.
    for kind in [Persistent, Recursive] {
        let mut rig = Rig::live();
        rig.set_lasting(1, kind, "/a");
        rig.watch(2, Data, "/a");
        rig.answer(OpCode::GET_DATA, 5, ErrorCode::OK);
        rig.answer(OpCode::ADD_WATCH, 6, ErrorCode::OK);
        assert_eq!(updates(&mut rig), [(1, None)]);
    }

    // The recursive watch that stood in for it goes.
    let mut rig = Rig::live();
    rig.set_lasting(1, Persistent, "/a");
    rig.set_lasting(2, Recursive, "/a");
    rig.forget(2);
    rig.answer(OpCode::ADD_WATCH, 6, ErrorCode::OK);
    assert_eq!(updates(&mut rig), [(1, None)]);
}

#[test]
fn one_that_cannot_be_set_again_ends_the_connection() {
    let mut rig = Rig::live();
    rig.set_lasting(1, Persistent, "/a");
    rig.watch(2, Data, "/a");
    assert!(rig.newest::<GetData>().watch);
    rig.answer(OpCode::GET_DATA, 5, ErrorCode::OK);
    rig.answer(OpCode::ADD_WATCH, 5, ErrorCode::MARSHALLING_ERROR);
    assert_eq!(rig.states.last(), Some(&crate::session_state::SessionState::Disconnected(SESSION)));
}
