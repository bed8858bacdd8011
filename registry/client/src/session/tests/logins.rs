//! Login by SASL: the first thing on each connection.

use bytes::{Bytes, BytesMut};
use common::digest_md5::{DIGEST_URI, REALM, Server, Verified};
use zk_wire::{Encode, ErrorCode, OpCode, ReplyHeader, SaslResponse, SessionId, Xid, Zxid};

use super::rig::{Rig, RigLink, SESSION, TIMEOUT, config};
use crate::session::{Input, LoginError, SaslUser, SessionConfig, WatchKind};
use crate::session_state::SessionState;

const SERVER: Server<'_> = Server { realm: REALM, uri: DIGEST_URI, nonce: "nonce" };

fn with_login() -> Rig {
    let sasl = Some(SaslUser { name: "bob".into(), password: "secret".into() });
    let identities = vec![Bytes::from_static(b"one")];
    let mut rig = Rig::new(SessionConfig { identities, sasl, ..config(1) });
    rig.accept();
    rig.give_session(SESSION);
    rig
}

/// Answers the request of the login, and returns its token.
fn answer(rig: &mut Rig, err: ErrorCode, token: Option<&[u8]>) -> Vec<u8> {
    let (header, body) = rig.received.pop_front().expect("a request");
    assert_eq!(header.op, OpCode::SASL);
    let mut frame = BytesMut::new();
    ReplyHeader { xid: header.xid, zxid: Zxid(0), err }.encode(&mut frame);
    SaslResponse { token: token.map(Bytes::copy_from_slice) }.encode(&mut frame);
    rig.input(Input::Frame(frame.freeze()));
    body[4..].to_vec()
}

/// Plays a server that knows the password.
fn log_in(rig: &mut Rig) {
    assert_eq!(answer(rig, ErrorCode::OK, Some(&SERVER.challenge())), b"");
    let token = &rig.received.front().expect("the answer to the challenge").1[4..];
    let Verified { user, reply } = SERVER.verify(token, |_| Some("secret")).unwrap();
    assert_eq!(user, "bob");
    answer(rig, ErrorCode::OK, Some(&reply));
}

#[test]
fn the_login_comes_before_identities_watches_and_calls_on_each_connection() {
    let mut rig = with_login();
    rig.call(1, OpCode::CREATE);
    assert_eq!(rig.ops(), [OpCode::SASL]);
    log_in(&mut rig);
    assert_eq!((rig.ops(), rig.states.len()), (vec![OpCode::AUTH], 0));
    rig.answer(OpCode::AUTH, 0, ErrorCode::OK);
    assert_eq!((rig.ops(), &rig.states[..]), (vec![OpCode::CREATE], &[SessionState::Connected(SESSION)][..]));
    rig.answer(OpCode::CREATE, 1, ErrorCode::OK);
    rig.watch(2, WatchKind::Data, "/a");
    rig.answer(OpCode::GET_DATA, 5, ErrorCode::OK);
    rig.lose();
    rig.attach_again();
    assert_eq!(rig.ops(), [OpCode::SASL]);
    log_in(&mut rig);
    rig.answer(OpCode::AUTH, 0, ErrorCode::OK);
    assert_eq!(rig.ops(), [OpCode::SET_WATCHES]);
}

#[test]
fn a_server_that_does_not_let_in_is_left_with_the_reason() {
    let refused = |code| LoginError::Refused(code);
    let closed = ErrorCode::SESSION_CLOSED_REQUIRE_SASL_AUTH;
    for (answers, reason) in [
        (vec![(ErrorCode::OK, None)], LoginError::NoSasl),
        (vec![(ErrorCode::AUTH_FAILED, None)], refused(ErrorCode::AUTH_FAILED)),
        (vec![(ErrorCode::OK, Some(SERVER.challenge())), (closed, None)], refused(closed)),
        (
            vec![(ErrorCode::OK, Some(SERVER.challenge())), (ErrorCode::OK, None)],
            refused(ErrorCode::AUTH_FAILED),
        ),
        (
            vec![(ErrorCode::OK, Some(SERVER.challenge())), (ErrorCode::OK, Some(b"rspauth=0".to_vec()))],
            LoginError::WrongServer,
        ),
        (vec![(ErrorCode::OK, Some(b"\x60\x82".to_vec()))], LoginError::Challenge("algorithm")),
    ] {
        let mut rig = with_login();
        for (code, token) in &answers {
            answer(&mut rig, *code, token.as_deref());
        }
        assert_eq!((rig.link, rig.states.len()), (RigLink::None, 0));
        assert_eq!(rig.refused, Some(reason));
        assert_eq!(rig.session.failed_rounds(), 1, "it is not called in a loop");
    }
}

#[test]
fn a_login_without_an_answer_ends_in_time() {
    let mut rig = with_login();
    rig.advance(TIMEOUT / 3);
    assert_ne!(rig.link, RigLink::Live);
    let mut rig = with_login();
    rig.frame(&ReplyHeader { xid: Xid(1), zxid: Zxid(1), err: ErrorCode::OK });
    assert_ne!(rig.link, RigLink::Live);
}

#[test]
fn a_session_that_has_ended_is_noticed_before_the_login() {
    let mut rig = with_login();
    rig.lose();
    rig.advance_to_connect();
    rig.accept();
    rig.give_session(SessionId::NONE);
    assert_eq!(rig.ops(), []);
}
