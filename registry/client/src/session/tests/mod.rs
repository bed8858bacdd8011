//! Rules of a session, each as a list of inputs.

mod answers;
mod closing;
mod identities;
mod lasting;
mod logins;
mod pasts;
mod properties;
mod read_only;
mod reconnects;
mod rig;
mod withdrawals;

use common::Millis;
use zk_wire::{ErrorCode, EventType, OpCode, ReplyHeader, SessionId, Xid, Zxid};

use super::{Call, CallFailure, CallId, Input, KEPT_ENTRIES, Outgoing, WatchKind};
use crate::session_state::SessionState;
use crate::session_state::WatchLost;
use rig::{Rig, RigLink, SESSION, TIMEOUT, config};

const LOST: CallFailure = CallFailure::ConnectionLost { sent: true };

#[test]
fn the_first_handshake_is_empty_and_the_next_one_has_the_session_and_the_last_zxid() {
    let mut rig = Rig::new(config(1));
    rig.accept();
    let first = rig.handshake.clone().unwrap();
    assert_eq!((first.session_id, first.last_zxid_seen), (SessionId::NONE, Zxid(0)));
    assert_eq!(first.timeout, 9_000);
    rig.give_session(SESSION);
    assert_eq!(rig.states, [SessionState::Connected(SESSION)]);

    rig.call(1, OpCode::GET_DATA);
    rig.answer(OpCode::GET_DATA, 77, ErrorCode::OK);
    rig.lose();
    rig.accept();
    let again = rig.handshake.clone().unwrap();
    assert_eq!((again.session_id, again.last_zxid_seen), (SESSION, Zxid(77)));
    assert_eq!(again.password.as_deref(), Some(&b"password"[..]));
}

#[test]
fn an_idle_session_pings_after_a_third_of_its_timeout() {
    let mut rig = Rig::live();
    rig.advance(TIMEOUT / 3 - 1);
    assert_eq!(rig.ops(), []);
    for _ in 0..5 {
        rig.advance(1);
        rig.answer(OpCode::PING, 5, ErrorCode::OK);
        rig.advance(TIMEOUT / 3 - 1);
    }
    assert_eq!(rig.states, [SessionState::Connected(SESSION)]);
}

#[test]
fn a_server_that_is_silent_for_two_thirds_of_the_timeout_is_left() {
    let mut rig = Rig::live();
    rig.advance(TIMEOUT * 2 / 3 - 1);
    assert_eq!(rig.link, RigLink::Live);
    rig.advance(1);
    assert_eq!(rig.states.last(), Some(&SessionState::Disconnected(SESSION)));
}

#[test]
fn only_a_server_can_say_that_the_session_is_gone() {
    let mut rig = Rig::live();
    rig.lose();
    for _ in 0..50 {
        rig.advance_to_connect();
        rig.lose();
    }
    rig.advance(10 * TIMEOUT);
    assert_eq!(rig.states.last(), Some(&SessionState::Disconnected(SESSION)));
}

#[test]
fn when_a_connection_is_lost_sent_calls_fail_and_later_ones_wait() {
    let mut rig = Rig::live();
    rig.call(1, OpCode::CREATE);
    rig.lose();
    rig.call(3, OpCode::DELETE);
    rig.call(2, OpCode::CREATE);
    assert_eq!(rig.completed.remove(&1), Some(Err(LOST)));
    assert_eq!(rig.completed.len(), 0);
    rig.attach_again();
    assert_eq!(rig.ops(), [OpCode::CREATE, OpCode::DELETE], "in the order of their numbers");
}

#[test]
fn a_waiting_call_fails_at_its_own_deadline() {
    let mut rig = Rig::live();
    rig.lose();
    rig.call(1, OpCode::CREATE);
    rig.advance(9_999);
    assert_eq!(rig.completed.len(), 0);
    rig.advance(1);
    assert_eq!(rig.completed[&1], Err(CallFailure::ConnectionLost { sent: false }));
}

#[test]
fn an_expired_session_ends_its_calls_and_watches_and_is_followed_by_a_new_one() {
    let mut rig = Rig::live();
    rig.watch(1, WatchKind::Data, "/a");
    rig.answer(OpCode::GET_DATA, 77, ErrorCode::OK);
    rig.lose();
    rig.call(2, OpCode::CREATE);
    rig.accept();
    rig.give_session(SessionId::NONE);
    assert_eq!(rig.completed[&2], Err(CallFailure::SessionExpired));
    assert_eq!(rig.fired[&1], Err(WatchLost::SessionExpired));

    rig.call(3, OpCode::CREATE);
    rig.advance_to_connect();
    rig.accept();
    let handshake = rig.handshake.clone().unwrap();
    assert_eq!((handshake.session_id, handshake.last_zxid_seen), (SessionId::NONE, Zxid(0)));
    rig.give_session(SessionId(0x52));
    assert_eq!(rig.ops(), [OpCode::CREATE], "no watch of the old session is set again");
    assert_eq!(
        rig.states,
        [
            SessionState::Connected(SESSION),
            SessionState::Disconnected(SESSION),
            SessionState::Connecting,
            SessionState::Connected(SessionId(0x52))
        ]
    );
}

#[test]
fn answers_out_of_order_end_the_connection() {
    let mut rig = Rig::live();
    rig.call(1, OpCode::GET_DATA);
    rig.call(2, OpCode::GET_DATA);
    rig.frame(&ReplyHeader { xid: Xid(2), zxid: Zxid(1), err: ErrorCode::OK });
    assert_eq!(rig.completed[&1], Err(LOST));
    assert_eq!(rig.completed[&2], Err(LOST));
    assert_eq!(rig.states.last(), Some(&SessionState::Disconnected(SESSION)));
}

#[test]
fn answers_to_no_request_end_the_connection() {
    for xid in [Xid(1), Xid(0), Xid::AUTH, Xid::SET_WATCHES, Xid(-77)] {
        let mut rig = Rig::live();
        rig.frame(&ReplyHeader { xid, zxid: Zxid(1), err: ErrorCode::OK });
        assert_eq!(rig.states.last(), Some(&SessionState::Disconnected(SESSION)), "{xid}");
    }
    let mut rig = Rig::live();
    rig.frame(&7_i32);
    assert_eq!(rig.states.last(), Some(&SessionState::Disconnected(SESSION)));
}

#[test]
fn exists_sets_the_watch_that_its_answer_implies() {
    let mut rig = Rig::live();
    for (id, code) in [(1, ErrorCode::OK), (2, ErrorCode::NO_NODE), (3, ErrorCode::NO_AUTH)] {
        rig.watch(id, WatchKind::Exist, &format!("/{id}"));
        rig.answer(OpCode::EXISTS, 5, code);
    }
    rig.lose();
    rig.attach_again();
    let request = &rig.set_watches()[0];
    assert_eq!(request.data_watches, ["/1"]);
    assert_eq!(request.exist_watches, ["/2"]);
    assert_eq!(request.relative_zxid, Zxid(5));
}

#[test]
fn watches_hear_of_all_changes_since_they_were_last_known_to_be_set() {
    let mut rig = Rig::live();
    // Two long paths need two setWatches.
    for (id, name) in [(1, "a"), (2, "b")] {
        rig.watch(id, WatchKind::Child, &format!("/{}", name.repeat(100_000)));
        rig.answer(OpCode::GET_CHILDREN2, 5, ErrorCode::OK);
    }
    rig.lose();
    rig.attach_again();
    assert_eq!(rig.ops(), [OpCode::SET_WATCHES, OpCode::SET_WATCHES]);
    // The connection breaks between the two answers, and the server has new transactions.
    rig.answer(OpCode::SET_WATCHES, 9, ErrorCode::OK);
    rig.lose();
    rig.attach_again();
    assert!(rig.set_watches().iter().all(|request| request.relative_zxid == Zxid(5)));
    rig.answer(OpCode::SET_WATCHES, 9, ErrorCode::OK);
    rig.answer(OpCode::SET_WATCHES, 9, ErrorCode::OK);
    rig.lose();
    rig.attach_again();
    assert!(rig.set_watches().iter().all(|request| request.relative_zxid == Zxid(9)));
}

#[test]
fn an_event_while_watches_are_set_again_is_told_once() {
    let mut rig = Rig::live();
    rig.watch(1, WatchKind::Data, "/a");
    rig.answer(OpCode::GET_DATA, 5, ErrorCode::OK);
    rig.watch(2, WatchKind::Child, "/a");
    rig.answer(OpCode::GET_CHILDREN2, 5, ErrorCode::OK);
    rig.lose();
    rig.attach_again();
    // A deleted node has one event for each list of the setWatches that has it.
    rig.event(EventType::NODE_DELETED, "/a");
    rig.event(EventType::NODE_DELETED, "/a");
    assert_eq!(rig.fired.keys().collect::<Vec<_>>(), [&1, &2]);
}

#[test]
fn forgotten_calls_are_not_sent_and_forgotten_watches_not_set_again() {
    let mut rig = Rig::live();
    rig.watch(1, WatchKind::Data, "/in-flight");
    rig.input(Input::Forget(CallId(1)));
    rig.answer(OpCode::GET_DATA, 5, ErrorCode::OK);
    rig.lose();
    rig.call(2, OpCode::CREATE);
    rig.input(Input::Forget(CallId(2)));
    rig.attach_again();
    assert_eq!(rig.ops(), []);
    assert_eq!(rig.watching.len(), 0);
}

#[test]
fn pending_calls_are_limited() {
    let mut rig = Rig::live();
    for id in 1..=101 {
        rig.call(id, OpCode::GET_DATA);
    }
    assert_eq!(rig.completed.remove(&101), Some(Err(CallFailure::Overloaded)));
    rig.answer(OpCode::GET_DATA, 5, ErrorCode::OK);
    rig.call(102, OpCode::GET_DATA);
    assert!(!rig.completed.contains_key(&102));
}

#[test]
fn a_burst_of_outputs_does_not_hold_memory_for_ever() {
    let mut rig = Rig::live();
    for id in 0..3 * KEPT_ENTRIES as u64 {
        // One output for each call beyond the limit of the pending ones, all before the first is taken.
        let request = Outgoing { op: OpCode::GET_DATA, body: &[], watch: None };
        rig.session.call(
            Millis(rig.now),
            Call { id: CallId(id), session: None, caller: () },
            request,
            Millis(0),
        );
    }
    rig.input(Input::Timeout);
    assert!(rig.completed.len() > KEPT_ENTRIES);
    assert_eq!(rig.session.outputs.capacity(), 0);
}

#[test]
fn a_server_that_lost_data_ends_the_session_and_gives_a_new_one() {
    let mut rig = refused();
    rig.watch(2, WatchKind::Data, "/a");
    let probe = rig.handshake.clone().unwrap();
    assert_eq!(
        (probe.session_id, probe.last_zxid_seen),
        (SessionId::NONE, Zxid(0)),
        "our session is not renewed"
    );
    rig.give_session(SessionId(0x52));
    assert_eq!(rig.states.last(), Some(&SessionState::Disconnected(SESSION)), "not yet");
    rig.answer(OpCode::SYNC, 76, ErrorCode::OK);
    let told = [
        SessionState::Disconnected(SESSION),
        SessionState::Connecting,
        SessionState::Connected(SessionId(0x52)),
    ];
    assert!(rig.states.ends_with(&told), "{:?}", rig.states);
    assert_eq!(rig.completed[&2], Err(CallFailure::SessionExpired));
    rig.call(3, OpCode::GET_DATA);
    rig.answer(OpCode::GET_DATA, 77, ErrorCode::OK);
    rig.lose();
    rig.accept();
    let again = rig.handshake.clone().unwrap();
    assert_eq!((again.session_id, again.last_zxid_seen), (SessionId(0x52), Zxid(77)), "of the new session");
}

#[test]
fn a_server_that_was_only_behind_continues_the_session_and_keeps_no_probe() {
    let mut rig = refused();
    rig.call(2, OpCode::GET_DATA);
    rig.give_session(SessionId(0x52));
    assert_eq!(rig.ops(), [OpCode::SYNC]);
    rig.answer(OpCode::SYNC, 78, ErrorCode::OK);
    assert_eq!(rig.ops(), [OpCode::CLOSE_SESSION], "of the probe session");
    rig.answer(OpCode::CLOSE_SESSION, 79, ErrorCode::OK);
    rig.advance_to_connect();
    rig.accept();
    let handshake = rig.handshake.clone().unwrap();
    assert_eq!((handshake.session_id, handshake.last_zxid_seen), (SESSION, Zxid(77)));
    rig.give_session(SESSION);
    assert_eq!(rig.states.last(), Some(&SessionState::Connected(SESSION)));
    assert_eq!(rig.ops(), [OpCode::GET_DATA]);
}

#[test]
fn a_server_that_lost_one_transaction_ends_the_session() {
    let mut rig = refused();
    rig.watch(2, WatchKind::Data, "/a");
    rig.give_session(SessionId(0x52));
    // The start of the probe session has taken its number.
    rig.answer(OpCode::SYNC, 77, ErrorCode::OK);
    rig.answer(OpCode::CLOSE_SESSION, 78, ErrorCode::OK);
    assert_eq!(rig.states.last(), Some(&SessionState::Connecting));
    assert_eq!(rig.completed[&2], Err(CallFailure::SessionExpired));
    rig.accept();
    let handshake = rig.handshake.clone().unwrap();
    assert_eq!((handshake.session_id, handshake.last_zxid_seen), (SessionId::NONE, Zxid(0)));
}

#[test]
fn a_doubt_that_nothing_clears_ends_the_session() {
    let mut rig = refused();
    rig.give_session(SessionId(0x52));
    rig.answer(OpCode::SYNC, 77, ErrorCode::OK);
    rig.lose();
    assert_eq!(rig.states.last(), Some(&SessionState::Connecting));
}

#[test]
fn a_probe_that_one_server_alone_knows_does_not_end_the_session() {
    for (zxid, end) in [(77, ErrorCode::OK), (78, ErrorCode::OPERATION_TIMEOUT)] {
        let mut rig = refused();
        rig.give_session(SessionId(0x52));
        // Neither its start nor its end is a transaction.
        rig.answer(OpCode::SYNC, 77, ErrorCode::OK);
        rig.answer(OpCode::CLOSE_SESSION, zxid, end);
        rig.attach_again();
        assert_eq!(rig.states.last(), Some(&SessionState::Connected(SESSION)), "{zxid} {end}");
    }
}

#[test]
fn servers_that_give_no_session_at_all_do_not_end_ours() {
    let mut rig = refused();
    for _ in 0..50 {
        rig.lose();
        rig.advance_to_connect();
        rig.accept();
    }
    assert_eq!(rig.states.last(), Some(&SessionState::Disconnected(SESSION)));
    // Without an answer, or with an error, the probe proves nothing.
    for answered in [false, true] {
        while rig.handshake.clone().unwrap().session_id != SessionId::NONE {
            rig.lose();
            rig.advance_to_connect();
            rig.accept();
        }
        rig.give_session(SessionId(0x52));
        if answered {
            rig.answer(OpCode::SYNC, 1, ErrorCode::OPERATION_TIMEOUT);
        }
        rig.lose();
        rig.advance_to_connect();
        rig.accept();
    }
    assert_eq!(rig.states.last(), Some(&SessionState::Disconnected(SESSION)));
}

/// Creates a session that has seen zxid 77 and was refused without an answer; the handshake of a probe is under way.
fn refused() -> Rig {
    let mut rig = Rig::live();
    rig.call(1, OpCode::GET_DATA);
    rig.answer(OpCode::GET_DATA, 77, ErrorCode::OK);
    rig.lose();
    for _ in 0..2 {
        rig.advance_to_connect();
        rig.accept();
        assert_eq!(rig.handshake.clone().unwrap().last_zxid_seen, Zxid(77));
        rig.lose();
    }
    rig.advance_to_connect();
    rig.accept();
    rig
}

#[test]
fn the_server_decides_on_the_timeout() {
    let mut rig = Rig::new(super::SessionConfig { session_timeout: Millis(1), ..config(1) });
    rig.accept();
    rig.give_session(SESSION);
    rig.advance(TIMEOUT / 3 - 1);
    assert_eq!(rig.ops(), []);
    rig.advance(1);
    assert_eq!(rig.ops(), [OpCode::PING]);
}
