//! Creates, deletes and changes (rules 1, 2, 24 to 37).

use bytes::Bytes;
use zk_mini::core::{Change, Compat, Config, CreateNode, NodeKind, Txn};
use zk_wire::*;

use crate::driver::*;

fn reconfig() -> Reconfig {
    Reconfig { joining_servers: None, leaving_servers: None, new_members: None, current_config_id: Zxid(-1) }
}

#[test]
fn a_single_server_cannot_be_reconfigured_even_if_that_is_enabled() {
    // 1, 64
    let mut t = Driver::with(Config { reconfig_enabled: true, ..Config::default() });
    let a = t.connect(10_000);
    let before = t.core.last_zxid().0;
    assert_eq!(t.reply(a, &reconfig()), (before + 1, ErrorCode::UNIMPLEMENTED, Bytes::new()));
    assert!(!t.is_closed(a));
}

#[test]
fn a_refused_write_takes_a_zxid_and_shows_it() {
    // 1, 2
    let mut t = Driver::new();
    let a = t.connect(10_000);
    t.call(a, &create("/a", CreateMode::Persistent)).unwrap();
    let mut zxid = t.core.last_zxid().0;
    let mut refused = |reply: (i64, ErrorCode, Bytes), code| {
        zxid += 1;
        assert_eq!(reply, (zxid, code, Bytes::new()));
    };
    refused(t.reply(a, &create("/none/x", CreateMode::Persistent)), ErrorCode::NO_NODE);
    refused(t.reply(a, &create("/a", CreateMode::Persistent)), ErrorCode::NODE_EXISTS);
    refused(t.reply(a, &delete("/none")), ErrorCode::NO_NODE);
    refused(t.reply(a, &set_data("/a", b"", 3)), ErrorCode::BAD_VERSION);
    refused(t.reply(a, &set_data("a", b"", -1)), ErrorCode::BAD_ARGUMENTS);
    refused(t.reply(a, &set_data("/zookeeper/config", b"", -1)), ErrorCode::NO_AUTH);
    refused(t.reply(a, &reconfig()), ErrorCode::RECONFIG_DISABLED);
    refused(t.reply(a, &DeleteContainer { path: "/none".into() }), ErrorCode::BAD_ARGUMENTS);
    assert_eq!(t.core.last_zxid().0, zxid);
}

#[test]
fn delete_container_is_refused_from_clients() {
    // 64: ZooKeeper 3.9 lets every client delete every node without children by it.
    for compat in [Compat::V3_8, Compat::V3_9] {
        let mut t = Driver::compat(compat);
        let a = t.connect(10_000);
        t.call(a, &create("/a", CreateMode::Persistent)).unwrap();
        t.call(a, &create("/c", CreateMode::Container)).unwrap();
        for path in ["/a", "/c", "/none", "/", "/zookeeper/config", "", "a"] {
            let before = t.core.last_zxid().0;
            let reply = t.reply(a, &DeleteContainer { path: path.into() });
            assert_eq!(reply, (before + 1, ErrorCode::BAD_ARGUMENTS, Bytes::new()), "{path}");
        }
        assert!(t.core.node("/a").is_some() && t.core.node("/c").is_some());
    }
}

#[test]
fn create_checks_in_zookeepers_order() {
    // 24
    let mut t = Driver::new();
    let a = t.connect(10_000);
    t.call(a, &create("/a", CreateMode::Persistent)).unwrap();
    t.call(a, &create("/e", CreateMode::Ephemeral)).unwrap();
    let mut outcome = |path: &str| t.call(a, &create(path, CreateMode::Persistent)).map(|_| ());
    assert_eq!(outcome("/no/./x"), Err(ErrorCode::NO_NODE));
    assert_eq!(outcome("/a//b"), Err(ErrorCode::NO_NODE));
    assert_eq!(outcome("a/b"), Err(ErrorCode::NO_NODE));
    assert_eq!(outcome("/a/."), Err(ErrorCode::BAD_ARGUMENTS));
    assert_eq!(outcome("/a/"), Err(ErrorCode::BAD_ARGUMENTS));
    assert_eq!(outcome("/a\0"), Err(ErrorCode::BAD_ARGUMENTS));
    assert_eq!(outcome("a"), Err(ErrorCode::BAD_ARGUMENTS));
    assert_eq!(outcome("/"), Err(ErrorCode::NODE_EXISTS));
    assert_eq!(outcome("/e/x"), Err(ErrorCode::NO_CHILDREN_FOR_EPHEMERALS), "37");
    assert_eq!(outcome("/zookeeper/x"), Ok(()), "25");
    let sequential = t.call(a, &create("/a/", CreateMode::PersistentSequential)).unwrap();
    assert_eq!(sequential.path, "/a/0000000000");
}

#[test]
fn flags_are_checked_before_the_path_and_the_path_before_the_acl() {
    // 24
    let mut t = Driver::new();
    let a = t.connect(10_000);
    let mut outcome = |path: &str, flags, acl: Option<Vec<Acl>>| {
        let request = Create { flags, acl, ..create(path, CreateMode::Persistent) };
        t.call(a, &request).unwrap_err()
    };
    assert_eq!(outcome("/x", 7, None), ErrorCode::BAD_ARGUMENTS);
    assert_eq!(outcome("/x", -1, None), ErrorCode::BAD_ARGUMENTS);
    assert_eq!(outcome("x", 5, None), ErrorCode::UNIMPLEMENTED, "18: without a close");
    assert_eq!(outcome("x", 0, None), ErrorCode::BAD_ARGUMENTS);
    assert_eq!(outcome("/none/x", 0, None), ErrorCode::INVALID_ACL, "56");
    assert_eq!(outcome("/none/x", 0, Some(vec![])), ErrorCode::INVALID_ACL, "56");
    assert!(!t.is_closed(a));
}

#[test]
fn delete_checks_in_zookeepers_order() {
    // 25
    let mut t = Driver::new();
    let a = t.connect(10_000);
    for path in ["/a", "/a/b"] {
        t.call(a, &create(path, CreateMode::Persistent)).unwrap();
    }
    let mut outcome =
        |path: &str, version: i32| t.call(a, &Delete { path: path.into(), version: Version(version).into() });
    for path in ["x", "/a\0", "/", "/zookeeper", "/zookeeper/quota", "/zookeeper/config"] {
        assert_eq!(outcome(path, -1), Err(ErrorCode::BAD_ARGUMENTS), "{path:?}");
    }
    assert_eq!(outcome("/none/x", -1), Err(ErrorCode::NO_NODE));
    assert_eq!(outcome("/none", -1), Err(ErrorCode::NO_NODE));
    assert_eq!(outcome("/a", 5), Err(ErrorCode::BAD_VERSION));
    assert_eq!(outcome("/a", -2), Err(ErrorCode::BAD_VERSION), "28");
    assert_eq!(outcome("/a", 0), Err(ErrorCode::NOT_EMPTY));
    assert_eq!(outcome("/a/b", 0), Ok(()));
    assert_eq!(outcome("/a", 0), Ok(()));
}

#[test]
fn set_data_on_system_nodes_is_ordinary() {
    // 25
    let mut t = Driver::new();
    let a = t.connect(10_000);
    for path in ["/", "/zookeeper", "/zookeeper/quota"] {
        assert_eq!(t.call(a, &set_data(path, b"x", 0)).unwrap().stat.version, Version(1));
    }
    assert_eq!(t.call(a, &set_data("/zookeeper/config", b"x", -1)), Err(ErrorCode::NO_AUTH));
}

#[test]
fn forbidden_characters_are_javas() {
    // 27
    let mut t = Driver::new();
    let a = t.connect(10_000);
    for path in ["/ ", "/...", "/.a", "/a.", "/..a", "/é"] {
        assert!(t.call(a, &create(path, CreateMode::Persistent)).is_ok(), "{path:?}");
    }
    for path in ["/\u{1}", "/\u{7f}", "/\u{9f}", "/\u{fff0}", "/🦀", "/..", "/."] {
        let outcome = t.call(a, &create(path, CreateMode::Persistent));
        assert_eq!(outcome, Err(ErrorCode::BAD_ARGUMENTS), "{path:?}");
    }
    let mut invalid_utf8 = encode(&create("/xx", CreateMode::Persistent)).to_vec();
    invalid_utf8[5] = 0xff;
    assert_eq!(t.raw(a, OpCode::CREATE, &invalid_utf8).1, ErrorCode::BAD_ARGUMENTS);
}

#[test]
fn stats_follow_creates_writes_and_deletes() {
    // 29, 31, 32
    let mut t = Driver::new();
    let a = t.connect(10_000);
    let created_at = t.now.wall;
    let Create2Response { stat, .. } = t
        .call(
            a,
            &Create2 {
                path: "/p".into(),
                data: Some(Bytes::from_static(b"abc")),
                acl: Some(vec![Acl::open()]),
                flags: 0,
            },
        )
        .unwrap();
    let zxid = t.core.last_zxid();
    let fresh = Stat {
        czxid: zxid,
        mzxid: zxid,
        pzxid: zxid,
        ctime: created_at,
        mtime: created_at,
        data_length: 3,
        ..Stat::default()
    };
    assert_eq!(stat, fresh);
    t.advance(1_000);
    let stat = t.call(a, &set_data("/p", b"longer", 0)).unwrap().stat;
    let set =
        Stat { mzxid: t.core.last_zxid(), mtime: t.now.wall, version: Version(1), data_length: 6, ..fresh };
    assert_eq!(stat, set);
    t.call(a, &create("/p/a", CreateMode::Persistent)).unwrap();
    t.call(a, &create("/p/b", CreateMode::Persistent)).unwrap();
    t.call(a, &delete("/p/a")).unwrap();
    let pzxid = t.core.last_zxid();
    let stat = t.call(a, &exists("/p", false)).unwrap().stat;
    assert_eq!(stat, Stat { pzxid, cversion: Version(3), num_children: 1, ..set });
    let acl = SetAcl { path: Some("/p".into()), acl: Some(vec![Acl::open()]), version: Expected::Any };
    let stat = t.call(a, &acl).unwrap().stat;
    assert_eq!(stat, Stat { pzxid, cversion: Version(3), num_children: 1, aversion: Version(1), ..set });
}

#[test]
fn an_ephemeral_shows_its_owner_and_its_deletion_moves_the_parents_pzxid() {
    // 31, 34
    let mut t = Driver::new();
    let (a, b) = (t.connect(10_000), t.connect(10_000));
    t.call(a, &create("/p", CreateMode::Persistent)).unwrap();
    t.call(b, &create("/p/e", CreateMode::Ephemeral)).unwrap();
    assert_eq!(t.core.node("/p/e").unwrap().stat.ephemeral_owner, t.session(b));
    t.call(b, &CloseSession {}).unwrap();
    let stat = t.call(a, &exists("/p", false)).unwrap().stat;
    assert_eq!((stat.pzxid, stat.cversion), (t.core.last_zxid(), Version(2)));
}

#[test]
fn a_sequence_number_is_the_count_of_all_children_ever_created() {
    // 30
    let mut t = Driver::new();
    let a = t.connect(10_000);
    let next = |t: &mut Driver| {
        t.call(a, &create("/p/n-", CreateMode::EphemeralSequential)).unwrap().path.to_string()
    };
    t.call(a, &create("/p", CreateMode::Persistent)).unwrap();
    assert_eq!(next(&mut t), "/p/n-0000000000");
    t.call(a, &create("/p/plain", CreateMode::Persistent)).unwrap();
    t.call(a, &delete("/p/plain")).unwrap();
    t.call(a, &create("/p/n-0000000000", CreateMode::Persistent)).unwrap_err();
    assert_eq!(next(&mut t), "/p/n-0000000002");
    for path in ["/p/n-0000000000", "/p/n-0000000002", "/p"] {
        t.call(a, &delete(path)).unwrap();
    }
    t.call(a, &create("/p", CreateMode::Persistent)).unwrap();
    assert_eq!(next(&mut t), "/p/n-0000000000");
}

#[test]
fn the_counter_stops_where_it_would_overflow() {
    // 30
    let mut t = Driver::new();
    let a = t.connect(10_000);
    t.call(a, &create("/p", CreateMode::Persistent)).unwrap();
    let change = Change::Create(CreateNode {
        path: "/p/last".into(),
        data: None,
        acl: [Acl::open()].into(),
        kind: NodeKind::Persistent,
        parent_cversion: i32::MAX,
    });
    let (zxid, session) = (t.core.last_zxid().next(), t.session(a));
    t.core.replay(t.now, Txn { zxid, time: t.now.wall, session, xid: Xid(0), change, digest: None });
    let sequential = create("/p/n-", CreateMode::PersistentSequential);
    assert_eq!(t.call(a, &sequential).unwrap().path, "/p/n-2147483647");
    assert_eq!(t.call(a, &sequential), Err(ErrorCode::NODE_EXISTS));
}

#[test]
fn sequential_names_are_checked_as_a_whole() {
    // 24
    let mut t = Driver::new();
    let a = t.connect(10_000);
    let sequential = |t: &mut Driver, path: &str| {
        t.call(a, &create(path, CreateMode::PersistentSequential)).map(|response| response.path.to_string())
    };
    assert_eq!(sequential(&mut t, "/"), Ok("/0000000000".into()));
    assert_eq!(sequential(&mut t, "/."), Ok("/.0000000001".into()));
    assert_eq!(sequential(&mut t, "/a\u{1}"), Err(ErrorCode::BAD_ARGUMENTS));
}

#[test]
fn containers_are_made_by_the_op_code_and_not_by_the_flag() {
    // 34, 35, 36
    let mut t = Driver::new();
    let a = t.connect(40_000);
    let container = |path: &str, flags| CreateContainer {
        path: path.into(),
        data: None,
        acl: Some(vec![Acl::open()]),
        flags,
    };
    t.call(a, &container("/c", 1)).unwrap();
    assert_eq!(t.core.node("/c").unwrap().stat.ephemeral_owner, SessionId::NONE);
    let numbered = t.call(a, &container("/n", 2)).unwrap();
    assert_eq!(numbered.path, "/n0000000001");
    t.call(a, &create("/plain", CreateMode::Container)).unwrap();
    t.call(a, &container("/unused", 4)).unwrap();
    for parent in ["/c", "/plain"] {
        t.call(a, &create(&format!("{parent}/x"), CreateMode::Persistent)).unwrap();
        t.call(a, &delete(&format!("{parent}/x"))).unwrap();
        t.call(a, &exists(parent, true)).unwrap();
    }
    let before = t.core.last_zxid().0;
    for _ in 0..61 {
        t.ping(a);
        t.advance(1_000);
    }
    assert_eq!(t.core.last_zxid().0, before + 1);
    assert_eq!(t.events(a), [(EventType::NODE_DELETED, "/c".into())]);
    assert!(t.core.node("/plain").is_some() && t.core.node("/unused").is_some());
}

#[test]
fn nodes_with_a_time_to_live_need_extended_types_and_end_when_unchanged() {
    // 18, 24, 34, 35
    let request = |path: &str, flags, ttl| CreateTtl {
        path: path.into(),
        data: None,
        acl: Some(vec![Acl::open()]),
        flags,
        ttl,
    };
    let mut t = Driver::new();
    let a = t.connect(40_000);
    assert_eq!(t.call(a, &request("/t", 5, 1_000)), Err(ErrorCode::UNIMPLEMENTED));
    assert!(!t.is_closed(a));
    let config =
        Config { extended_types: true, container_check_interval: Millis(1_000), ..Config::default() };
    let mut t = Driver::with(config);
    let a = t.connect(40_000);
    for (flags, ttl) in [(5, 0), (5, -1), (5, 0x100_0000_0000), (0, 5), (0, -5)] {
        assert_eq!(t.call(a, &request("/t", flags, ttl)), Err(ErrorCode::BAD_ARGUMENTS), "{flags} {ttl}");
    }
    for flags in [5, 6] {
        let plain = Create { flags, ..create("/t", CreateMode::Persistent) };
        assert_eq!(t.call(a, &plain), Err(ErrorCode::BAD_ARGUMENTS));
    }
    let response = t.call(a, &request("/t", 5, 3_000)).unwrap();
    assert_eq!(response.stat.ephemeral_owner, SessionId::NONE);
    t.advance(2_500);
    t.call(a, &set_data("/t", b"", -1)).unwrap();
    t.advance(3_000);
    assert!(t.core.node("/t").is_some());
    t.advance(1_000);
    assert!(t.core.node("/t").is_none());
}

#[test]
fn a_node_copies_its_data_out_of_the_request() {
    let mut t = Driver::new();
    let a = t.connect(10_000);
    let body = encode(&create_with("/a", b"data", CreateMode::Persistent));
    let mut frame = encode(&RequestHeader { xid: Xid(1), op: OpCode::CREATE }).to_vec();
    frame.extend_from_slice(&body);
    let frame = Bytes::from(frame);
    let watched = frame.clone();
    t.frame(a, frame);
    assert!(watched.is_unique(), "the frame is not kept in memory");
    let mut frame = encode(&RequestHeader { xid: Xid(2), op: OpCode::EXISTS }).to_vec();
    frame.extend_from_slice(&encode(&exists("/b", true)));
    let frame = Bytes::from(frame);
    let watched = frame.clone();
    t.frame(a, frame);
    assert!(watched.is_unique());
}
