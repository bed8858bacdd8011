//! Multi and multiRead (rules 1, 3, 19, 21, 30, 32, 38 to 42).

use bytes::{BufMut, Bytes, BytesMut};
use zk_mini::core::{Compat, Config};
use zk_wire::*;

use crate::driver::*;

fn both() -> [Driver; 2] {
    [Driver::compat(Compat::V3_8), Driver::compat(Compat::V3_9)]
}

fn make(path: &str) -> MultiOp {
    MultiOp::Create(create(path, CreateMode::Persistent))
}

fn check(path: &str, version: i32) -> MultiOp {
    MultiOp::Check(Check { path: Some(path.into()), version: Version(version).into() })
}

fn set(path: &str, version: i32) -> MultiOp {
    MultiOp::SetData(set_data(path, b"x", version))
}

fn errors(codes: &[ErrorCode]) -> MultiResponse {
    MultiResponse { results: codes.iter().copied().map(MultiResult::Error).collect() }
}

fn multi(ops: Vec<MultiOp>) -> Multi {
    Multi { ops }
}

#[test]
fn a_failed_multi_changes_nothing_and_says_which_failed() {
    // 3, 38
    for mut t in both() {
        let a = t.connect(10_000);
        let before = t.core.last_zxid().0;
        let ops =
            vec![make("/a"), check("/a", 0), MultiOp::Delete(delete("/none")), make("/b"), set("/a", 0)];
        let (zxid, err, body) = t.reply(a, &multi(ops));
        assert_eq!((zxid, err), (before + 1, ErrorCode::OK));
        let rest = ErrorCode::RUNTIME_INCONSISTENCY;
        let expected = errors(&[ErrorCode::OK, ErrorCode::OK, ErrorCode::NO_NODE, rest, rest]);
        assert_eq!(decode_all::<MultiResponse>(body).unwrap(), expected);
        assert!(t.core.node("/a").is_none());
        assert_eq!(
            t.call(a, &create("/s-", CreateMode::PersistentSequential)).unwrap().path,
            "/s-0000000000",
            "30"
        );
    }
}

#[test]
fn an_empty_multi_succeeds_and_takes_a_zxid() {
    // 3
    let mut t = Driver::new();
    let a = t.connect(10_000);
    let before = t.core.last_zxid().0;
    let (zxid, err, body) = t.reply(a, &Multi::default());
    assert_eq!((zxid, err), (before + 1, ErrorCode::OK));
    assert_eq!(decode_all::<MultiResponse>(body).unwrap(), MultiResponse::default());
}

#[test]
fn later_operations_see_earlier_ones() {
    // 32, 40
    for mut t in both() {
        let a = t.connect(10_000);
        let ops = vec![
            make("/a"),
            check("/a", 0),
            set("/a", 0),
            set("/a", 1),
            make("/a/x"),
            MultiOp::Delete(delete("/a/x")),
            MultiOp::Delete(Delete { path: "/a".into(), version: Version(2).into() }),
            make("/a"),
            MultiOp::Create(create("/a/s-", CreateMode::PersistentSequential)),
            MultiOp::Create(create("/a/s-", CreateMode::EphemeralSequential)),
            MultiOp::Create(create("/e", CreateMode::Ephemeral)),
        ];
        let results = t.call(a, &multi(ops)).unwrap().results;
        assert_eq!(
            results[8..10],
            [MultiResult::Create("/a/s-0000000000".into()), MultiResult::Create("/a/s-0000000001".into())]
        );
        let MultiResult::SetData(stat) = &results[3] else { panic!("{:?}", results[3]) };
        assert_eq!(stat.version, Version(2));
        let zxid = t.core.last_zxid();
        for path in ["/a", "/a/s-0000000000", "/a/s-0000000001", "/e"] {
            let stat = t.core.node(path).unwrap().stat;
            assert_eq!((stat.czxid, stat.ctime), (zxid, t.now.wall));
        }
        let under_ephemeral = multi(vec![MultiOp::Delete(delete("/e")), make("/e"), make("/e/x")]);
        assert!(t.call(a, &under_ephemeral).is_ok());
        let ops = vec![MultiOp::Create(create("/f", CreateMode::Ephemeral)), make("/f/x")];
        let expected = errors(&[ErrorCode::OK, ErrorCode::NO_CHILDREN_FOR_EPHEMERALS]);
        assert_eq!(t.call(a, &multi(ops)), Ok(expected));
        let ops = vec![make("/g"), make("/g/x"), MultiOp::Delete(delete("/g"))];
        let expected = errors(&[ErrorCode::OK, ErrorCode::OK, ErrorCode::NOT_EMPTY]);
        assert_eq!(t.call(a, &multi(ops)), Ok(expected));
    }
}

#[test]
fn events_come_in_the_order_of_the_operations_and_before_the_reply() {
    // 40
    let mut t = Driver::new();
    let a = t.connect(10_000);
    for path in ["/a", "/b"] {
        t.call(a, &exists(path, true)).unwrap_err();
    }
    t.call(a, &multi(vec![make("/b"), make("/a"), set("/b", -1)])).unwrap();
    let n = t.heard(a).len();
    assert!(matches!(
        &t.heard(a)[n - 3..],
        [Heard::Event { path: first, .. }, Heard::Event { path: second, .. }, Heard::Reply { .. }]
            if first == "/b" && second == "/a"
    ));
}

#[test]
fn results_of_creates_follow_the_kind_of_create() {
    // 39
    for compat in [Compat::V3_8, Compat::V3_9] {
        let mut t = Driver::with(Config { compat, extended_types: true, ..Config::default() });
        let a = t.connect(10_000);
        let acl = || Some(vec![Acl::open()]);
        let ops = vec![
            MultiOp::Create2(Create2 { path: "/a".into(), data: None, acl: acl(), flags: 0 }),
            MultiOp::CreateContainer(CreateContainer { path: "/b".into(), data: None, acl: acl(), flags: 4 }),
            MultiOp::CreateTtl(CreateTtl { path: "/c".into(), data: None, acl: acl(), flags: 5, ttl: 1_000 }),
            MultiOp::Create(create("/d", CreateMode::Container)),
        ];
        let results = t.call(a, &multi(ops)).unwrap().results;
        let with_stat = |result: &MultiResult| matches!(result, MultiResult::Create2 { .. });
        let expected = [true; 4];
        assert_eq!(results.iter().map(with_stat).collect::<Vec<_>>(), expected);
    }
}

#[test]
fn bad_flags_and_null_acls_of_creates_fail_the_whole_multi() {
    // 42
    let bad_flags = || MultiOp::Create(Create { flags: 9, ..create("/x", CreateMode::Persistent) });
    let no_acl = || MultiOp::Create(Create { acl: None, ..create("/x", CreateMode::Persistent) });
    for mut t in both() {
        let a = t.connect(10_000);
        for op in [bad_flags(), no_acl()] {
            assert_eq!(t.call(a, &multi(vec![make("/a"), op])), Err(ErrorCode::MARSHALLING_ERROR));
        }
        assert!(t.core.node("/a").is_none());
    }
}

#[test]
fn an_unreadable_operation_fails_the_whole_multi_even_after_a_failed_one() {
    // 38, 42: these are found while the request is read.
    let no_ttl = || MultiOp::Create(Create { flags: 5, ..create("/x", CreateMode::Persistent) });
    let bad_acl = || MultiOp::Create(Create { acl: None, ..create("/x", CreateMode::Persistent) });
    for mut t in both() {
        let a = t.connect(10_000);
        assert_eq!(t.call(a, &multi(vec![make("/a"), no_ttl()])), Err(ErrorCode::MARSHALLING_ERROR));
    }
    for (mut t, marker) in both().into_iter().zip([9, 0]) {
        let a = t.connect(10_000);
        for (op, taken) in [(no_ttl(), 1), (bad_acl(), 0)] {
            let before = t.core.last_zxid().0;
            let (zxid, err, body) = t.reply(a, &multi(vec![check("/none", -1), op]));
            assert_eq!((zxid, err), (before + taken, ErrorCode::MARSHALLING_ERROR));
            assert_eq!(body.len(), if taken == 0 { marker } else { 0 }, "3.8 marks the end of no results");
        }
    }
}

#[test]
fn a_null_path_fails_a_multi_before_anything_else_does() {
    // 3: also where null alone would be a bad argument.
    let null = || MultiOp::SetData(SetData { path: None, data: None, version: Expected::Any });
    for (mut t, taken) in both().into_iter().zip([0, 1]) {
        let a = t.connect(10_000);
        let before = t.core.last_zxid().0;
        let (zxid, err, _) = t.reply(a, &multi(vec![check("/none", -1), null()]));
        assert_eq!((zxid, err), (before + taken, ErrorCode::MARSHALLING_ERROR));
    }
}

/// Returns a multi of one operation with the given body.
fn raw_multi(op: OpCode, body: &[u8], end: bool) -> Bytes {
    let mut out = BytesMut::new();
    MultiHeader { op, done: false, err: ErrorCode(-1) }.encode(&mut out);
    out.put_slice(body);
    if end {
        MultiHeader { op: OpCode::ERROR, done: true, err: ErrorCode(-1) }.encode(&mut out);
    }
    out.freeze()
}

#[test]
fn reads_unknown_types_and_missing_ends_fail_a_multi() {
    // 41
    for mut t in both() {
        let a = t.connect(10_000);
        let read = encode(&get_data("/", false));
        let acl = encode(&SetAcl { path: Some("/".into()), acl: None, version: Expected::Any });
        let good = encode(&create("/a", CreateMode::Persistent));
        for body in [
            raw_multi(OpCode::GET_DATA, &read, true),
            raw_multi(OpCode::SET_ACL, &acl, true),
            raw_multi(OpCode(99), &[], true),
            raw_multi(OpCode::CREATE, &good, false),
        ] {
            let before = t.core.last_zxid().0;
            let (zxid, err, body) = t.raw(a, OpCode::MULTI, &body);
            assert_eq!((zxid, err, body.len()), (before + 1, ErrorCode::MARSHALLING_ERROR, 0));
        }
        assert!(t.core.node("/a").is_none());
    }
}

#[test]
fn a_null_path_in_a_multi_skips_a_zxid_in_3_8() {
    // 3, 21
    let null = [&[0xff; 4][..], &[0; 4]].concat();
    let body = raw_multi(OpCode::DELETE, &null, true);
    let mut t = Driver::compat(Compat::V3_8);
    let a = t.connect(10_000);
    let before = t.core.last_zxid().0;
    let (zxid, err, rest) = t.raw(a, OpCode::MULTI, &body);
    assert_eq!((zxid, err), (before, ErrorCode::MARSHALLING_ERROR));
    assert_eq!(decode_all::<MultiResponse>(rest).unwrap(), MultiResponse::default());
    t.call(a, &create("/a", CreateMode::Persistent)).unwrap();
    assert_eq!(t.core.last_zxid().0, before + 2);
    let mut t = Driver::new();
    let a = t.connect(10_000);
    let before = t.core.last_zxid().0;
    let (zxid, err, rest) = t.raw(a, OpCode::MULTI, &body);
    assert_eq!((zxid, err, rest.len()), (before + 1, ErrorCode::MARSHALLING_ERROR, 0));
}

#[test]
fn multi_read_gives_each_read_its_own_result_and_sets_no_watch() {
    // 41
    for mut t in both() {
        let a = t.connect(10_000);
        t.call(a, &create_with("/a", b"data", CreateMode::Persistent)).unwrap();
        let before = t.core.last_zxid();
        let ops = vec![
            ReadOp::GetData(get_data("/a", true)),
            ReadOp::GetData(get_data("/none", true)),
            ReadOp::GetChildren(get_children("/", true)),
        ];
        let results = t.call(a, &MultiRead { ops }).unwrap().results;
        let stat = t.core.node("/a").unwrap().stat;
        let expected = [
            ReadResult::GetData(GetDataResponse { data: Some(Bytes::from_static(b"data")), stat }),
            ReadResult::Error(ErrorCode::NO_NODE),
            ReadResult::GetChildren(GetChildrenResponse { children: vec!["a".into(), "zookeeper".into()] }),
        ];
        assert_eq!(results, expected);
        assert_eq!((t.core.watch_count(), t.core.last_zxid()), (0, before));
    }
}

#[test]
fn a_multi_read_that_fails_halfway_answers_the_results_so_far() {
    // 21
    for compat in [Compat::V3_8, Compat::V3_9] {
        let mut t = Driver::compat(compat);
        let a = t.connect(10_000);
        let first = raw_multi(OpCode::GET_DATA, &encode(&get_data("/none", false)), false);
        let null = raw_multi(OpCode::GET_DATA, &[0xff, 0xff, 0xff, 0xff, 0], true);
        let (_, err, body) = t.raw(a, OpCode::MULTI_READ, &[first, null].concat());
        assert_eq!(err, ErrorCode::MARSHALLING_ERROR);
        let results = vec![ReadResult::Error(ErrorCode::NO_NODE)];
        let expected = encode(&MultiReadResponse { results });
        assert_eq!(body, expected);
        let write = raw_multi(OpCode::DELETE, &encode(&delete("/a")), true);
        assert_eq!(t.raw(a, OpCode::MULTI_READ, &write).1, ErrorCode::MARSHALLING_ERROR);
    }
}

#[test]
fn a_too_long_multi_read_gets_an_error_only() {
    let ops = || {
        let (data, none) = (get_data("/a", false), get_data("/none", false));
        let children = get_children("/", false);
        vec![ReadOp::GetData(data), ReadOp::GetData(none), ReadOp::GetChildren(children)]
    };
    // Length field, header of the reply, three results, end.
    let exactly = 4 + 16 + (9 + 4 + 1_000 + 68) + (9 + 4) + (9 + 4 + (4 + 1) + (4 + 9)) + 9;
    for (max_multi_read, expected) in [(exactly, Ok(3)), (exactly - 1, Err(ErrorCode::MARSHALLING_ERROR))] {
        let mut t = Driver::with(Config { max_multi_read, ..Config::default() });
        let a = t.connect(10_000);
        t.call(a, &create_with("/a", &[7; 1_000], CreateMode::Persistent)).unwrap();
        let (_, err, body) = t.reply(a, &MultiRead { ops: ops() });
        let found = decode_all::<MultiReadResponse>(body.clone()).map(|response| response.results.len());
        assert_eq!(err.into_result().map(|()| found.unwrap()), expected);
        assert!(err == ErrorCode::OK || body.is_empty());
        assert_eq!(t.call(a, &exists("/a", false)).unwrap().stat.data_length, 1_000, "it goes on");
    }
}
