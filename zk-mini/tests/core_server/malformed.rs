//! Malformed frames (rules 1, 4, 5, 14 to 20, 22).

use bytes::{BufMut, Bytes, BytesMut};
use zk_mini::core::Compat;
use zk_wire::*;

use crate::driver::*;

#[test]
fn a_frame_without_a_whole_header_closes_the_connection() {
    // 15
    let mut t = Driver::new();
    let (a, b) = (t.connect(10_000), t.connect(10_000));
    t.frame(a, Bytes::from_static(&[0; 7]));
    assert!(t.is_closed(a));
    assert!(!t.is_closed(b));
    let c = t.accept();
    t.frame(c, Bytes::from_static(b"garbage"));
    assert_eq!(t.heard(c), [Heard::Closed]);
}

#[test]
fn an_unreadable_body_is_a_marshalling_error() {
    // 1, 16
    for (compat, taken) in [(Compat::V3_8, 1), (Compat::V3_9, 0)] {
        let mut t = Driver::compat(compat);
        let a = t.connect(10_000);
        for op in [OpCode::CREATE, OpCode::CREATE2, OpCode::DELETE, OpCode::SET_DATA, OpCode::SET_ACL] {
            let before = t.core.last_zxid().0;
            let (zxid, err, body) = t.raw(a, op, &[0, 0, 0]);
            assert_eq!((err, body.len()), (ErrorCode::MARSHALLING_ERROR, 0), "{op}");
            assert_eq!(zxid, before + taken, "{op}");
        }
        for op in [OpCode::GET_DATA, OpCode::EXISTS, OpCode::GET_CHILDREN2, OpCode::SYNC, OpCode::SET_WATCHES]
        {
            let before = t.core.last_zxid().0;
            let (zxid, err, _) = t.raw(a, op, &[0, 0, 0]);
            assert_eq!((zxid, err), (before, ErrorCode::MARSHALLING_ERROR), "{op}");
        }
        let before = t.core.last_zxid().0;
        let (zxid, err, _) = t.raw(a, OpCode::MULTI, &[0, 0, 0]);
        assert_eq!((zxid, err), (before + 1, ErrorCode::MARSHALLING_ERROR), "41");
        assert!(!t.is_closed(a));
    }
}

#[test]
fn an_unreadable_reconfig_takes_no_zxid_in_any_release() {
    // 1, 16, 64
    let whole = [&[0, 0, 0, 1, b'a'][..], &[0xff; 4], &[0; 4], &[0xff; 8]].concat();
    for compat in [Compat::V3_8, Compat::V3_9] {
        let mut t = Driver::compat(compat);
        let a = t.connect(10_000);
        let before = t.core.last_zxid().0;
        for len in 0..whole.len() {
            let reply = t.raw(a, OpCode::RECONFIG, &whole[..len]);
            assert_eq!(reply, (before, ErrorCode::MARSHALLING_ERROR, Bytes::new()), "{len} bytes");
        }
        let reply = t.raw(a, OpCode::RECONFIG, &whole);
        assert_eq!(reply, (before + 1, ErrorCode::RECONFIG_DISABLED, Bytes::new()));
    }
}

#[test]
fn unreadable_auth_and_sasl_close_the_connection() {
    // 16, 22
    for op in [OpCode::AUTH, OpCode::SASL] {
        let mut t = Driver::new();
        let a = t.connect(10_000);
        t.frame(a, encode(&RequestHeader { xid: Xid(1), op }));
        assert!(t.is_closed(a));
    }
}

#[test]
fn trailing_bytes_are_ignored_and_any_byte_is_true() {
    // 16
    let mut t = Driver::new();
    let a = t.connect(10_000);
    let mut body = encode(&exists("/x", false)).to_vec();
    *body.last_mut().unwrap() = 7;
    body.extend_from_slice(b"more");
    assert_eq!(t.raw(a, OpCode::EXISTS, &body).1, ErrorCode::NO_NODE);
    assert_eq!(t.core.watch_count(), 1);
}

#[test]
fn negative_lengths_are_null_or_errors() {
    // 17
    let mut t = Driver::new();
    let a = t.connect(10_000);
    let with_lengths = |path: i32, data: i32, acl: i32| {
        let mut body = BytesMut::new();
        for length in [path, data, acl] {
            body.put_i32(length);
        }
        body.put_i32(0);
        body
    };
    assert_eq!(t.raw(a, OpCode::CREATE, &with_lengths(-2, 0, 0)).1, ErrorCode::MARSHALLING_ERROR);
    let mut body = BytesMut::new();
    "/x".encode(&mut body);
    body.put_i32(-2);
    assert_eq!(t.raw(a, OpCode::CREATE, &body).1, ErrorCode::MARSHALLING_ERROR);
    let mut body = BytesMut::new();
    "/x".encode(&mut body);
    body.put_i32(-1); // data: null
    body.put_i32(-2); // acl: read as empty
    body.put_i32(0);
    assert_eq!(t.raw(a, OpCode::CREATE, &body).1, ErrorCode::INVALID_ACL);
}

#[test]
fn unknown_types_are_answered_with_minus_one_and_a_close() {
    // 18
    for op in [0, -1, 10, 999, 18_000] {
        let mut t = Driver::new();
        let a = t.connect(10_000);
        let (zxid, err, _) = t.raw(a, OpCode(op), &[]);
        assert_eq!((zxid, err), (-1, ErrorCode::UNIMPLEMENTED));
        assert!(t.is_closed(a));
        assert_eq!(t.core.sessions().len(), 1, "the session survives");
    }
}

#[test]
fn the_xid_is_echoed_except_for_pings() {
    // 4
    let mut t = Driver::new();
    let a = t.connect(10_000);
    for xid in [0, -1, -7, 5, 5] {
        let mut frame = encode(&RequestHeader { xid: Xid(xid), op: OpCode::EXISTS }).to_vec();
        frame.extend_from_slice(&encode(&exists("/", false)));
        t.frame(a, frame.into());
        assert!(matches!(t.heard(a).last(), Some(Heard::Reply { xid: answered, .. }) if answered.0 == xid));
    }
    t.frame(a, encode(&RequestHeader { xid: Xid(9), op: OpCode::PING }));
    assert!(matches!(t.heard(a).last(), Some(Heard::Reply { xid, .. }) if *xid == Xid::PING));
}

#[test]
fn null_paths_are_marshalling_errors_where_they_are_not_arguments() {
    // 19
    let mut t = Driver::new();
    let a = t.connect(10_000);
    const NULL: &[u8] = &[0xff; 4];
    let null_and = |more: usize| [NULL, &vec![0; more]].concat();
    for (op, body, code) in [
        (OpCode::GET_DATA, null_and(1), ErrorCode::MARSHALLING_ERROR),
        (OpCode::DELETE, null_and(4), ErrorCode::MARSHALLING_ERROR),
        (OpCode::CREATE, null_and(12), ErrorCode::MARSHALLING_ERROR),
        (OpCode::SET_DATA, null_and(8), ErrorCode::BAD_ARGUMENTS),
        (OpCode::SET_ACL, null_and(8), ErrorCode::BAD_ARGUMENTS),
        (OpCode::SYNC, null_and(0), ErrorCode::OK),
        (OpCode::GET_EPHEMERALS, null_and(0), ErrorCode::OK),
    ] {
        assert_eq!(t.raw(a, op, &body).1, code, "{op}");
    }
}

#[test]
fn a_null_path_has_no_watch() {
    // 52, 53
    for (compat, checked) in
        [(Compat::V3_8, ErrorCode::MARSHALLING_ERROR), (Compat::V3_9, ErrorCode::NO_WATCHER)]
    {
        let mut t = Driver::compat(compat);
        let a = t.connect(10_000);
        let null_and = |watcher_type: i32| [[0xff; 4], watcher_type.to_be_bytes()].concat();
        assert_eq!(t.raw(a, OpCode::REMOVE_WATCHES, &null_and(1)).1, ErrorCode::NO_WATCHER);
        assert_eq!(t.raw(a, OpCode::REMOVE_WATCHES, &null_and(9)).1, ErrorCode::MARSHALLING_ERROR);
        assert_eq!(t.raw(a, OpCode::CHECK_WATCHES, &null_and(1)).1, checked);
    }
}

#[test]
fn a_null_path_takes_a_zxid_in_writes() {
    let mut t = Driver::new();
    let a = t.connect(10_000);
    let before = t.core.last_zxid().0;
    let null = [&[0xff; 4][..], &[0; 4]].concat();
    assert_eq!(t.raw(a, OpCode::DELETE, &null).0, before + 1);
}

#[test]
fn a_lone_check_is_an_unknown_operation() {
    // 20: 3.8.0 still knew it; 3.8.7 does not.
    for compat in [Compat::V3_8, Compat::V3_9] {
        let mut t = Driver::compat(compat);
        let a = t.connect(10_000);
        let check = Check { path: Some("/".into()), version: Expected::Any };
        assert_eq!(t.reply(a, &check), (-1, ErrorCode::UNIMPLEMENTED, Bytes::new()));
        assert!(t.is_closed(a));
    }
}

#[test]
fn sasl_is_answered_with_a_null_token_or_a_close() {
    // 2, 22
    let mut t = Driver::new();
    let a = t.connect(10_000);
    let (zxid, err, body) = t.reply(a, &Sasl { token: Some(Bytes::from_static(b"x")) });
    assert_eq!((zxid, err, &body[..]), (0, ErrorCode::OK, &[0xff; 4][..]));
    t.frame(a, [&encode(&RequestHeader { xid: Xid(1), op: OpCode::SASL })[..], &[0xff; 4]].concat().into());
    assert!(t.is_closed(a));
}

#[test]
fn requests_after_a_close_are_ignored() {
    let mut t = Driver::new();
    let a = t.connect(10_000);
    t.call(a, &CloseSession {}).unwrap();
    let before = t.core.last_zxid();
    // The driver fails if anything is sent now.
    t.frame(a, encode(&RequestHeader { xid: Xid(1), op: OpCode::PING }));
    assert_eq!(t.core.last_zxid(), before);
}
