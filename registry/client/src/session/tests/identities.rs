//! Identities: given first on each connection.

use bytes::Bytes;
use common::Millis;
use zk_wire::{ErrorCode, OpCode, ReplyHeader, SessionId, Xid, Zxid};

use super::rig::{Rig, RigLink, SESSION, TIMEOUT, config};
use crate::session::{CallFailure, CloseResult, Input, SessionConfig, WatchKind};
use crate::session_state::SessionState;

/// Creates a session with two identities, whose handshake is answered.
fn with_identities() -> Rig {
    let identities = vec![Bytes::from_static(b"one"), Bytes::from_static(b"two")];
    let mut rig = Rig::new(SessionConfig { identities, ..config(1) });
    rig.accept();
    rig.give_session(SESSION);
    rig
}

fn answer(rig: &mut Rig, code: ErrorCode) {
    rig.answer(OpCode::AUTH, 0, code);
}

#[test]
fn configured_identities_are_accepted_before_anything_else_is_done() {
    let mut rig = with_identities();
    rig.call(1, OpCode::CREATE);
    assert_eq!(rig.received.iter().map(|(_, body)| &body[..]).collect::<Vec<_>>(), [b"one", b"two"]);
    answer(&mut rig, ErrorCode::OK);
    assert_eq!((rig.ops(), &rig.states[..]), (vec![OpCode::AUTH], &[][..]));
    answer(&mut rig, ErrorCode::OK);
    assert_eq!(rig.states, [SessionState::Connected(SESSION)]);
    assert_eq!(rig.ops(), [OpCode::CREATE]);
}

#[test]
fn an_identity_that_was_added_is_given_again_before_watches_are_set() {
    let mut rig = Rig::live();
    for id in [1, 2] {
        rig.call(id, OpCode::AUTH);
        answer(&mut rig, ErrorCode::OK);
    }
    rig.watch(3, WatchKind::Data, "/a");
    rig.answer(OpCode::GET_DATA, 5, ErrorCode::OK);
    rig.lose();
    rig.attach_again();
    assert_eq!(rig.ops(), [OpCode::AUTH], "the same one is given once");
    answer(&mut rig, ErrorCode::OK);
    assert_eq!(rig.ops(), [OpCode::SET_WATCHES]);
}

#[test]
fn an_identity_that_was_refused_is_not_given_again() {
    let mut rig = Rig::live();
    rig.call(1, OpCode::AUTH);
    answer(&mut rig, ErrorCode::AUTH_FAILED);
    assert_eq!(rig.completed[&1], Err(CallFailure::Server(ErrorCode::AUTH_FAILED)));
    rig.lose();
    rig.attach_again();
    assert_eq!(rig.ops(), []);
    assert_eq!(rig.states.last(), Some(&SessionState::Connected(SESSION)));
}

#[test]
fn a_server_that_refuses_an_identity_is_left_for_another_one_and_calls_wait() {
    let mut rig = with_identities();
    rig.call(1, OpCode::CREATE);
    answer(&mut rig, ErrorCode::OK);
    answer(&mut rig, ErrorCode::AUTH_FAILED);
    assert_eq!((rig.link, rig.states.len(), rig.completed.len()), (RigLink::None, 0, 0));
    assert_eq!(rig.session.failed_rounds(), 1, "it is not called in a loop");
    rig.attach_again();
    for _ in 0..2 {
        answer(&mut rig, ErrorCode::OK);
    }
    assert_eq!(rig.ops(), [OpCode::CREATE]);
}

#[test]
fn a_server_that_does_not_answer_to_an_identity_or_answers_something_else_is_left() {
    let mut rig = with_identities();
    rig.advance(TIMEOUT / 3);
    assert_ne!(rig.link, RigLink::Live);

    let mut rig = with_identities();
    rig.frame(&ReplyHeader { xid: Xid(1), zxid: Zxid(1), err: ErrorCode::OK });
    assert_ne!(rig.link, RigLink::Live);

    let mut rig = with_identities();
    rig.lose();
    rig.advance_to_connect();
    rig.accept();
    assert_eq!(rig.handshake.clone().unwrap().session_id, SESSION, "no second session");
    rig.give_session(SessionId::NONE);
    rig.advance_to_connect();
    rig.accept();
    assert_eq!(rig.handshake.clone().unwrap().session_id, SessionId::NONE);
}

#[test]
fn identities_are_given_before_a_close_because_a_server_may_demand_them() {
    let mut rig = with_identities();
    rig.input(Input::Close { deadline: Millis(5_000) });
    rig.lose();
    rig.attach_again();
    for _ in 0..2 {
        answer(&mut rig, ErrorCode::OK);
    }
    rig.answer(OpCode::CLOSE_SESSION, 7, ErrorCode::OK);
    assert_eq!(rig.closed, Some(CloseResult::Closed));
}

#[test]
fn a_session_whose_identity_is_refused_is_closed_without_it() {
    let mut rig = with_identities();
    rig.input(Input::Close { deadline: Millis(5_000) });
    answer(&mut rig, ErrorCode::AUTH_FAILED);
    rig.attach_again();
    rig.answer(OpCode::CLOSE_SESSION, 7, ErrorCode::OK);
    assert_eq!(rig.closed, Some(CloseResult::Closed));
}
