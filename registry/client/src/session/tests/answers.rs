//! Requests that are never answered, by a server that still answers pings.

use common::Millis;
use zk_wire::{ErrorCode, OpCode};

use super::rig::{Rig, RigLink, SESSION, TIMEOUT, config};
use crate::session::{CallFailure, SessionConfig, WatchKind};
use crate::session_state::SessionState;

const LOST: CallFailure = CallFailure::ConnectionLost { sent: true };

fn live(answer_timeout: Option<Millis>) -> Rig {
    let mut rig = Rig::new(SessionConfig { answer_timeout, ..config(1) });
    rig.accept();
    rig.give_session(SESSION);
    rig
}

/// Lets time pass at a server that answers pings only.
fn advance_with_pings(rig: &mut Rig, millis: u64) {
    for _ in 0..millis / 100 {
        rig.advance(100);
        while rig.ops().contains(&OpCode::PING) {
            rig.answer_ping();
        }
    }
}

#[test]
fn a_request_without_an_answer_ends_the_connection_although_pings_are_answered() {
    for (set, limit) in [(None, TIMEOUT), (Some(Millis(2_000)), 2_000)] {
        let mut rig = live(set);
        advance_with_pings(&mut rig, 3_000);
        rig.call(1, OpCode::CREATE);
        advance_with_pings(&mut rig, 500);
        rig.call(2, OpCode::GET_DATA);
        advance_with_pings(&mut rig, limit - 600);
        assert_eq!((rig.link, rig.completed.len()), (RigLink::Live, 0));
        advance_with_pings(&mut rig, 100);
        assert_eq!((rig.completed[&1].clone(), rig.completed[&2].clone()), (Err(LOST), Err(LOST)));
        rig.attach_again();
        assert_eq!(rig.states.last(), Some(&SessionState::Connected(SESSION)), "the session goes on");
    }
}

#[test]
fn a_server_that_works_through_many_requests_is_not_left() {
    let mut rig = live(Some(Millis(2_000)));
    for id in 0..20 {
        rig.call(id, OpCode::GET_DATA);
    }
    for _ in 0..20 {
        rig.advance(1_900);
        rig.answer(OpCode::GET_DATA, 5, ErrorCode::OK);
        while rig.ops().contains(&OpCode::PING) {
            rig.answer_ping();
        }
    }
    assert!(rig.completed.values().all(Result::is_ok));
    advance_with_pings(&mut rig, 10_000);
    assert_eq!(rig.link, RigLink::Live, "nothing is due");
}

#[test]
fn watches_that_are_not_confirmed_end_the_connection_too() {
    let mut rig = live(None);
    rig.watch(1, WatchKind::Data, "/a");
    rig.answer(OpCode::GET_DATA, 5, ErrorCode::OK);
    rig.lose();
    rig.attach_again();
    assert_eq!(rig.ops(), [OpCode::SET_WATCHES]);
    advance_with_pings(&mut rig, TIMEOUT);
    assert_ne!(rig.link, RigLink::Live);
}
