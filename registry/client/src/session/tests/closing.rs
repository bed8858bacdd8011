//! Closing a session.

use bytes::Bytes;
use common::Millis;
use zk_wire::{ErrorCode, OpCode, SessionId, Zxid};

use super::rig::{Rig, SESSION, config};
use crate::session::{CallFailure, CloseResult, Input, SessionConfig, WatchKind};
use crate::session_state::WatchLost;
use crate::session_state::{CloseReason, Credentials, SessionState};

fn close(rig: &mut Rig) {
    let deadline = Millis(rig.now + 5_000);
    rig.input(Input::Close { deadline });
}

/// Creates the session of another process, to be closed.
fn foreign() -> Rig {
    let attach = Some(Credentials { id: SESSION, password: Bytes::from_static(b"theirs") });
    let mut rig = Rig::new(SessionConfig { attach, ..config(2) });
    close(&mut rig);
    rig
}

#[test]
fn calls_before_the_end_are_answered_and_later_ones_refused() {
    let mut rig = Rig::live();
    rig.watch(1, WatchKind::Data, "/a");
    rig.answer(OpCode::GET_DATA, 5, ErrorCode::OK);
    rig.call(2, OpCode::CREATE);
    close(&mut rig);
    rig.call(3, OpCode::CREATE);
    assert_eq!(rig.completed[&3], Err(CallFailure::Closed));
    rig.answer(OpCode::CREATE, 6, ErrorCode::OK);
    assert_eq!(rig.completed[&2], Ok(Bytes::new()));
    rig.answer(OpCode::CLOSE_SESSION, 7, ErrorCode::OK);
    assert_eq!(rig.closed, Some(CloseResult::Closed));
    assert_eq!(rig.fired[&1], Err(WatchLost::Closed));
    assert_eq!(rig.states.last(), Some(&SessionState::Closed(CloseReason::Requested)));
    assert_eq!(rig.session.poll_deadline(), None);
}

#[test]
fn a_session_without_a_connection_is_attached_before_it_is_closed() {
    let mut rig = Rig::live();
    rig.lose();
    rig.call(1, OpCode::CREATE);
    close(&mut rig);
    assert_eq!(rig.completed[&1], Err(CallFailure::Closed));
    rig.attach_again();
    assert_eq!(rig.ops(), [OpCode::CLOSE_SESSION]);
    // The answer is lost: the close is sent again.
    rig.lose();
    rig.advance_to_connect();
    rig.accept();
    rig.give_session(SessionId::NONE);
    assert_eq!(rig.closed, Some(CloseResult::AlreadyGone));
}

#[test]
fn closing_gives_up_in_time() {
    let mut rig = Rig::live();
    close(&mut rig);
    rig.call(1, OpCode::CREATE);
    rig.advance(4_999);
    assert_eq!(rig.closed, None);
    rig.advance(1);
    assert_eq!(rig.closed, Some(CloseResult::Unknown { sent: true }));
    assert_eq!(rig.states.last(), Some(&SessionState::Closed(CloseReason::Unconfirmed)));
}

#[test]
fn the_shortest_of_several_limits_counts() {
    let mut rig = Rig::live();
    close(&mut rig);
    for deadline in [1_000, 9_000] {
        rig.input(Input::Close { deadline: Millis(deadline) });
    }
    rig.advance(999);
    assert_eq!(rig.closed, None);
    rig.advance(1);
    assert_eq!(rig.closed, Some(CloseResult::Unknown { sent: true }));
}

#[test]
fn a_server_that_is_behind_can_close_the_session() {
    let mut rig = Rig::live();
    rig.call(1, OpCode::GET_DATA);
    rig.answer(OpCode::GET_DATA, 77, ErrorCode::OK);
    rig.lose();
    rig.accept();
    rig.lose();
    close(&mut rig);
    rig.advance_to_connect();
    rig.accept();
    let handshake = rig.handshake.clone().unwrap();
    assert_eq!((handshake.session_id, handshake.last_zxid_seen), (SESSION, Zxid(0)), "hides what was seen");
    rig.give_session(SESSION);
    rig.answer(OpCode::CLOSE_SESSION, 3, ErrorCode::OK);
    assert_eq!(rig.closed, Some(CloseResult::Closed));
}

#[test]
fn without_a_session_there_is_nothing_to_close() {
    let mut rig = Rig::new(config(1));
    rig.call(1, OpCode::CREATE);
    close(&mut rig);
    assert_eq!(rig.closed, Some(CloseResult::Closed));
    assert_eq!(rig.completed[&1], Err(CallFailure::Closed));
}

#[test]
fn a_session_of_another_process_is_taken_over_and_closed() {
    let mut rig = foreign();
    rig.lose();
    rig.accept();
    let handshake = rig.handshake.clone().unwrap();
    assert_eq!(handshake.session_id, SESSION);
    assert_eq!(handshake.password.as_deref(), Some(&b"theirs"[..]));
    rig.give_session(SESSION);
    rig.answer(OpCode::CLOSE_SESSION, 5, ErrorCode::OK);
    assert_eq!(rig.closed, Some(CloseResult::Closed));
}

#[test]
fn a_session_of_another_process_may_be_gone_or_out_of_reach() {
    let mut rig = foreign();
    rig.accept();
    rig.give_session(SessionId::NONE);
    assert_eq!(rig.closed, Some(CloseResult::AlreadyGone));

    let mut rig = foreign();
    rig.advance(5_000);
    assert_eq!(rig.closed, Some(CloseResult::Unknown { sent: false }));
}

#[test]
fn a_session_that_its_owner_has_taken_back_is_taken_over_again() {
    let mut rig = foreign();
    rig.accept();
    rig.give_session(SESSION);
    rig.answer(OpCode::CLOSE_SESSION, 5, ErrorCode::SESSION_MOVED);
    assert_eq!(rig.closed, None);
    rig.advance_to_connect();
    rig.accept();
    rig.give_session(SESSION);
    rig.answer(OpCode::CLOSE_SESSION, 6, ErrorCode::OK);
    assert_eq!(rig.closed, Some(CloseResult::Closed));
}
