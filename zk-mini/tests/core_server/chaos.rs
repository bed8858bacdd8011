//! Arbitrary frames: no panic, and the invariants hold after each of them.

use bytes::Bytes;
use proptest::prelude::*;
use zk_mini::core::{Compat, Config, ConnId, Core, Input, Now, Peer};
use zk_wire::*;

use crate::driver::*;
use crate::invariants;

#[derive(Clone, Debug)]
enum Step {
    Accept,
    Frame(u64, Bytes),
    Closed(u64),
    Timeout(u64),
}

const OPS: [i32; 38] = [
    0, 1, 1, 1, 2, 2, 3, 4, 5, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 14, 15, 16, 17, 18, 19, 20, 21, 22, 100,
    101, 102, 103, 104, 105, 106, 107, -10, -11,
];

/// Returns bytes that often look like records: small lengths, a few paths, nulls.
fn body() -> impl Strategy<Value = Vec<u8>> {
    let text = |text: &'static str| {
        let mut bytes = u32::try_from(text.len()).unwrap().to_be_bytes().to_vec();
        bytes.extend_from_slice(text.as_bytes());
        bytes
    };
    let piece = prop_oneof![
        4 => proptest::sample::select(vec!["/", "/a", "/a/b", "", "a", "/zookeeper/config", "/zookeeper/quota/a"])
            .prop_map(text),
        2 => proptest::sample::select(vec!["world", "anyone", "digest", "u:p", "auth", "ip", "127.0.0.1"]).prop_map(text),
        3 => (0..8_i32).prop_map(|n| n.to_be_bytes().to_vec()),
        1 => Just(vec![0xff; 4]),
        1 => Just(31_i32.to_be_bytes().to_vec()),
        2 => any::<bool>().prop_map(|flag| vec![u8::from(flag)]),
        1 => proptest::collection::vec(any::<u8>(), 0..9),
    ];
    proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

fn request() -> impl Strategy<Value = Bytes> {
    (any::<i32>(), proptest::sample::select(OPS.as_slice()), body())
        .prop_map(|(xid, op, body)| [&xid.to_be_bytes()[..], &op.to_be_bytes(), &body].concat().into())
}

/// Returns a well-formed create with arbitrary arguments.
fn valid_create() -> impl Strategy<Value = Bytes> {
    let path = proptest::sample::select(vec!["/a", "/a/b", "/a/c", "/zookeeper/quota/a"]);
    let op = proptest::sample::select(vec![1_i32, 15, 19]);
    (path, op, 0..7_i32).prop_map(|(path, op, flags)| {
        let record = Create { flags, ..create(path, CreateMode::Persistent) };
        [&1_i32.to_be_bytes()[..], &op.to_be_bytes(), &encode(&record)].concat().into()
    })
}

fn step() -> impl Strategy<Value = Step> {
    let conn = || 1..6_u64;
    prop_oneof![
        2 => Just(Step::Accept),
        2 => (conn(), any::<i32>()).prop_map(|(conn, timeout)| Step::Frame(conn, encode(&connect_request(timeout)))),
        6 => (conn(), request()).prop_map(|(conn, frame)| Step::Frame(conn, frame)),
        3 => (conn(), valid_create()).prop_map(|(conn, frame)| Step::Frame(conn, frame)),
        1 => (conn(), proptest::collection::vec(any::<u8>(), 0..60)).prop_map(|(conn, frame)| Step::Frame(conn, frame.into())),
        1 => conn().prop_map(Step::Closed),
        1 => (0..10_000_u64).prop_map(Step::Timeout),
    ]
}

fn compat() -> impl Strategy<Value = Compat> {
    prop_oneof![Just(Compat::V3_8), Just(Compat::V3_9)]
}

proptest! {
    #[test]
    fn no_frames_break_the_core(
        compat in compat(),
        extended_types in any::<bool>(),
        steps in proptest::collection::vec(step(), 1..80),
    ) {
        let mut core = Core::new(Config { compat, extended_types, enforce_quota: true, ..Config::default() });
        let mut now = Now::default();
        let mut accepted = 0;
        for step in steps {
            let input = match step {
                Step::Accept => {
                    accepted += 1;
                    Input::Accepted { conn: ConnId(accepted), peer: Peer::LOCAL, listener: None }
                }
                Step::Frame(conn, frame) => Input::Frame { conn: ConnId(conn), frame },
                Step::Closed(conn) => Input::Closed { conn: ConnId(conn) },
                Step::Timeout(span) => {
                    now.mono = now.mono + Millis(span);
                    now.wall.0 += i64::try_from(span).unwrap();
                    Input::Timeout
                }
            };
            core.handle(now, input);
            while core.poll_output().is_some() {}
            invariants::check(&core);
        }
    }
}
