//! Servers in read-only mode.

use common::Millis;
use zk_wire::{ErrorCode, OpCode, ReplyHeader, SessionId, Xid, Zxid};

use super::rig::{Rig, RigLink, SESSION, config};
use crate::session::{CallFailure, CloseResult, Input, SessionConfig, WatchKind};
use crate::session_state::{SessionState, WatchLost};

const LOCAL: SessionId = SessionId(0x99);

/// Creates a client that accepts read-only servers, and has asked for a connection.
fn accepting() -> Rig {
    let mut rig = Rig::new(SessionConfig { read_only: true, ..config(3) });
    rig.accept();
    assert_eq!(rig.handshake.clone().unwrap().read_only, Some(true));
    rig
}

/// Creates a client with a session that a read-only server has given.
fn local() -> Rig {
    let mut rig = accepting();
    rig.give_session_in_mode(LOCAL, true);
    assert_eq!(rig.states, [SessionState::ConnectedReadOnly(LOCAL)]);
    rig
}

/// Tells the client that a server is in read-write mode, and opens the connection to it.
fn move_to_read_write(rig: &mut Rig, server: usize) {
    rig.input(Input::ReadWrite { server });
    rig.advance_to_connect();
    assert_eq!(rig.connects.last(), Some(&(server, 0)), "to that server");
    rig.accept();
}

#[test]
fn a_client_that_does_not_accept_it_says_so() {
    let mut rig = Rig::new(config(1));
    rig.accept();
    assert_eq!(rig.handshake.clone().unwrap().read_only, Some(false));
}

#[test]
fn writes_fail_and_reads_are_answered() {
    let mut rig = local();
    rig.call(1, OpCode::CREATE);
    rig.answer(OpCode::CREATE, 5, ErrorCode::NOT_READ_ONLY);
    assert_eq!(rig.completed[&1], Err(CallFailure::Server(ErrorCode::NOT_READ_ONLY)));
    rig.call(2, OpCode::GET_DATA);
    rig.answer(OpCode::GET_DATA, 5, ErrorCode::OK);
    assert!(rig.completed[&2].is_ok());
}

#[test]
fn other_servers_are_asked_for_their_mode_less_and_less_often() {
    let mut rig = local();
    for _ in 0..100 {
        rig.advance(500);
        while rig.received.front().is_some() {
            rig.answer(OpCode::PING, 5, ErrorCode::OK);
        }
    }
    let pauses: Vec<u64> = rig.asked.windows(2).map(|two| two[1].0 - two[0].0).collect();
    assert!(rig.asked[0].0 <= 300 && pauses.last().is_some_and(|last| *last >= 5_000), "{pauses:?}");
    assert!(rig.asked.iter().any(|(_, server)| *server != rig.asked[0].1), "each has its turn");
}

#[test]
fn a_session_of_a_read_only_server_is_replaced_by_one_of_the_ensemble() {
    let mut rig = local();
    rig.watch(1, WatchKind::Data, "/a");
    rig.answer(OpCode::GET_DATA, 5, ErrorCode::OK);
    rig.set_lasting(2, WatchKind::Persistent, "/a");
    move_to_read_write(&mut rig, 2);
    rig.call(3, OpCode::CREATE);
    assert_eq!(rig.handshake.clone().unwrap().session_id, SessionId::NONE);
    rig.give_session(SESSION);
    let told =
        [SessionState::Disconnected(LOCAL), SessionState::Connecting, SessionState::Connected(SESSION)];
    assert_eq!(rig.states[1..], told);
    assert_eq!(rig.fired[&1], Err(WatchLost::SessionExpired));
    assert_eq!(rig.ops(), [OpCode::SET_WATCHES2, OpCode::CREATE], "a call that waited is made");
    let asked = rig.asked.len();
    rig.advance(2_000);
    assert_eq!(rig.asked.len(), asked, "the search is over");
}

#[test]
fn a_session_of_the_ensemble_goes_on_through_a_read_only_server() {
    let mut rig = accepting();
    rig.give_session(SESSION);
    rig.lose();
    rig.accept();
    assert_eq!(rig.handshake.clone().unwrap().session_id, SESSION);
    rig.give_session_in_mode(SESSION, true);
    assert_eq!(rig.states.last(), Some(&SessionState::ConnectedReadOnly(SESSION)));
    move_to_read_write(&mut rig, 1);
    assert_eq!(rig.handshake.clone().unwrap().session_id, SESSION);
    rig.give_session(SESSION);
    assert_eq!(rig.states.last(), Some(&SessionState::Connected(SESSION)));
}

#[test]
fn a_read_only_server_that_does_not_know_the_session_does_not_end_it() {
    let mut rig = accepting();
    rig.give_session(SESSION);
    rig.lose();
    rig.accept();
    rig.give_session_in_mode(SessionId::NONE, true);
    assert_eq!(rig.states.last(), Some(&SessionState::Disconnected(SESSION)));
    rig.attach_again();
    assert_eq!(rig.states.last(), Some(&SessionState::Connected(SESSION)));
}

#[test]
fn a_read_only_server_that_gives_no_sessions_is_left_for_another_one() {
    let mut rig = accepting();
    rig.frame(&ReplyHeader { xid: Xid(0), zxid: Zxid(5), err: ErrorCode::NOT_READ_ONLY });
    rig.advance_to_connect();
    assert_ne!(rig.connects[0], rig.connects[1]);
}

#[test]
fn an_answer_about_the_mode_that_comes_too_late_is_ignored() {
    let mut rig = local();
    move_to_read_write(&mut rig, 0);
    rig.give_session(SESSION);
    rig.input(Input::ReadWrite { server: 1 });
    assert_eq!(rig.link, RigLink::Live);
}

#[test]
fn a_session_is_closed_at_a_read_write_server_except_one_that_a_read_only_server_has_given() {
    let mut rig = accepting();
    rig.give_session(SESSION);
    rig.lose();
    rig.accept();
    rig.give_session_in_mode(SESSION, true);
    let deadline = Millis(rig.now + 5_000);
    rig.input(Input::Close { deadline });
    rig.answer(OpCode::CLOSE_SESSION, 5, ErrorCode::NOT_READ_ONLY);
    rig.advance_to_connect();
    rig.accept();
    assert_eq!(rig.handshake.clone().unwrap().read_only, Some(false));

    for answer in [ErrorCode::OK, ErrorCode::NOT_READ_ONLY] {
        let mut rig = local();
        rig.input(Input::Close { deadline: Millis(5_000) });
        rig.answer(OpCode::CLOSE_SESSION, 5, answer);
        assert_eq!(rig.closed, Some(CloseResult::Closed));
    }
    let mut rig = local();
    rig.lose();
    rig.input(Input::Close { deadline: Millis(5_000) });
    assert_eq!(rig.closed, Some(CloseResult::Closed), "nobody knows it");
}
