//! Limits on the data that one connection can make the server store or write, and the answers beyond them.

use std::sync::Arc;

use bytes::Bytes;
use zk_mini::core::*;
use zk_wire::*;

use crate::driver::*;

/// Bytes of a transaction's header and digest.
const AROUND: usize = 32 + 12;
/// Bytes of the list `Acl::open`.
const OPEN: usize = 4 + 4 + (4 + 5) + (4 + 6);

fn with(set: impl FnOnce(&mut Config)) -> Driver {
    let mut config = Config::default();
    set(&mut config);
    Driver::with(config)
}

fn auth(t: &mut Driver, conn: ConnId, credentials: &str) -> ErrorCode {
    let auth = Some(Bytes::copy_from_slice(credentials.as_bytes()));
    t.reply(conn, &Auth { auth_type: 0, scheme: Some("digest".into()), auth }).1
}

fn entry(perms: i32, scheme: &str, id: &str) -> Acl {
    Acl { perms: Perms(perms), scheme: scheme.into(), id: id.into() }
}

/// Returns a create with an ACL.
fn listed(path: &str, acl: Vec<Acl>) -> Create {
    Create { acl: Some(acl), ..create(path, CreateMode::Persistent) }
}

fn acl_of(t: &Driver, path: &str) -> Arc<[Acl]> {
    t.core.node(path).unwrap().acl
}

/// Sends a request to a server where its transaction has exactly the maximum length, and to one where it is a byte
/// longer than allowed. There it must change only the zxid.
fn at_the_limit<R: Request>(exactly: usize, request: &R) {
    for (max_transaction, is_done) in [(exactly, true), (exactly - 1, false)] {
        let mut t = Driver::with(Config { max_transaction, ..Config::default() });
        let a = t.connect(10_000);
        t.call(a, &create_with("/a", b"", CreateMode::Persistent)).unwrap();
        let before = t.core.image();
        let zxid = before.last_zxid.next();
        if is_done {
            t.call(a, request).map(|_| ()).unwrap();
            assert_ne!(t.core.image().nodes, before.nodes);
        } else {
            assert_eq!(t.reply(a, request), (zxid.0, ErrorCode::MARSHALLING_ERROR, Bytes::new()));
            assert_eq!(t.core.image(), Image { last_zxid: zxid, ..before });
            let refused = Change::Error(ErrorCode::MARSHALLING_ERROR);
            assert_eq!(t.txns.last().unwrap().change, refused);
            t.call(a, &set_data("/a", b"", -1)).unwrap();
        }
    }
}

#[test]
fn a_write_with_a_too_long_transaction_is_refused_before_it_is_applied() {
    let data = [7; 1_000];
    at_the_limit(AROUND + 6 + (4 + 1_000) + OPEN + 1 + 4, &create_with("/b", &data, CreateMode::Persistent));
    at_the_limit(AROUND + 6 + (4 + 1_000) + 4, &set_data("/a", &data, -1));
    let long = entry(31, "digest", &format!("{}:x", "u".repeat(998)));
    let acl = Some(vec![Acl::open(), long]);
    at_the_limit(
        AROUND + 6 + OPEN + (4 + 4 + 6 + 4 + 1_000) + 4,
        &SetAcl { path: Some("/a".into()), acl, version: Expected::Any },
    );
    let ops = vec![
        MultiOp::Create(create_with("/b", &data, CreateMode::PersistentSequential)),
        MultiOp::SetData(set_data("/a", &data, -1)),
        MultiOp::Check(Check { path: Some("/a".into()), version: Expected::Any }),
        MultiOp::Delete(delete("/a")),
    ];
    let records = [6 + 10 + (4 + 1_000) + OPEN + 1 + 4, 6 + (4 + 1_000) + 4, 6 + 4, 6];
    at_the_limit(AROUND + 4 + 4 * 8 + records.iter().sum::<usize>(), &Multi { ops });
}

#[test]
fn expanded_auth_entries_count_as_often_as_they_are_written() {
    // 250 ids of 10 kB each, and 900 creates in one multi: a record of more than 2 GiB.
    for compat in [Compat::V3_8, Compat::V3_9] {
        let mut t = with(|config| {
            config.compat = compat;
            (config.max_auth_ids, config.max_auth_id_bytes) = (usize::MAX, usize::MAX);
        });
        let a = t.connect(10_000);
        for n in 0..250 {
            assert_eq!(auth(&mut t, a, &format!("{n}{}:secret", "u".repeat(10_000))), ErrorCode::OK);
        }
        let ours = || vec![entry(31, "auth", "")];
        let ops = (0..900).map(|n| MultiOp::Create(listed(&format!("/{n}"), ours()))).collect();
        let before = t.core.last_zxid();
        let (zxid, err, body) = t.reply(a, &Multi { ops });
        assert_eq!((zxid, err, body.len()), (before.next().0, ErrorCode::MARSHALLING_ERROR, 0));
        assert_eq!(t.txns.last().unwrap().change, Change::Error(ErrorCode::MARSHALLING_ERROR));
        // Each create alone is too long, too.
        assert_eq!(t.call(a, &listed("/0", ours())), Err(ErrorCode::MARSHALLING_ERROR));
        let acl = Some(ours());
        let set_acl = SetAcl { path: Some("/".into()), acl, version: Expected::Any };
        assert_eq!(t.call(a, &set_acl).map(|_| ()), Err(ErrorCode::MARSHALLING_ERROR));
        assert_eq!(t.core.children("/").unwrap(), ["zookeeper"]);
    }
}

#[test]
fn nodes_of_one_multi_that_send_the_same_list_share_it() {
    const NODES: usize = 2_000;
    let mut t = with(|config| config.max_transaction = usize::MAX);
    let a = t.connect(10_000);
    (0..100).for_each(|n| assert_eq!(auth(&mut t, a, &format!("user-{n}:secret")), ErrorCode::OK));
    // Alternating, so that the latest list alone does not help.
    let lists = [vec![entry(31, "auth", "")], vec![entry(1, "auth", "")], vec![Acl::open()]];
    let op = |n: usize| MultiOp::Create(listed(&format!("/{n}"), lists[n % 3].clone()));
    t.call(a, &Multi { ops: (0..NODES).map(op).collect() }).unwrap();
    for n in 0..NODES {
        assert!(Arc::ptr_eq(&acl_of(&t, &format!("/{n}")), &acl_of(&t, &format!("/{}", n % 3))), "{n}");
    }
    // The transaction that waits for the disk shares it, too.
    let Change::Multi(changes) = &t.txns.last().unwrap().change else { panic!("no multi") };
    let mut kept = changes.iter().map(|change| match change {
        Change::Create(node) => Arc::as_ptr(&node.acl),
        other => panic!("{other:?}"),
    });
    let first: Vec<_> = kept.by_ref().take(3).collect();
    assert!(kept.enumerate().all(|(n, list)| std::ptr::eq(list, first[n % 3])));
}

#[test]
fn a_session_with_too_many_nodes_for_a_transaction_ends_nevertheless() {
    for expires in [false, true] {
        // The maximum equals the longest of the creates.
        let mut t = with(|config| config.max_transaction = 512);
        let (owner, watcher) = (t.connect(4_000), t.connect(40_000));
        let session = t.session(owner);
        for n in 0..100 {
            t.call(owner, &create(&format!("/e-{n:02}"), CreateMode::Ephemeral)).unwrap();
            t.call(watcher, &exists(&format!("/e-{n:02}"), true)).unwrap();
        }
        let image = t.core.image();
        let before = t.txns.len();
        if expires {
            t.advance(6_000);
        } else {
            t.call(owner, &CloseSession {}).unwrap();
        }
        let [txn] = &t.txns[before..] else { panic!("not one transaction") };
        assert_eq!((txn.session, &txn.change), (session, &Change::CloseSession { ephemerals: None }));
        assert_eq!(t.events(watcher).len(), 100);
        assert_eq!(t.core.children("/").unwrap(), ["zookeeper"]);
        let mut replayed = Core::restore(Config::default(), Now::default(), image);
        replayed.replay(Now::default(), t.txns[before].clone());
        assert_eq!(replayed.image(), t.core.image());
    }
}

#[test]
fn a_snapshot_taken_during_an_unlisted_session_end_is_right() {
    for steps in 0..110 {
        let mut t = with(|config| config.max_transaction = 512);
        let (owner, other) = (t.connect(4_000), t.connect(40_000));
        t.call(other, &create("/p", CreateMode::Persistent)).unwrap();
        for n in 0..100 {
            t.call(owner, &create(&format!("/p/e-{n:02}"), CreateMode::Ephemeral)).unwrap();
        }
        let mut walk = ImageWalk::new(&t.core);
        walk.visit(&t.core, steps);
        t.call(owner, &CloseSession {}).unwrap();
        t.call(other, &create("/after", CreateMode::Persistent)).unwrap();
        while !walk.visit(&t.core, 1) {}
        let image = walk.end(&t.core);
        let mut restored = Core::restore(Config::default(), Now::default(), image);
        t.txns.iter().for_each(|txn| restored.replay(Now::default(), txn.clone()));
        assert_eq!(restored.image(), t.core.image(), "after {steps} steps");
    }
}

#[test]
fn identities_of_a_connection_are_limited() {
    let mut t = with(|config| config.max_auth_ids = 2);
    let a = t.connect(10_000);
    for user in ["a", "b", "a", "b"] {
        assert_eq!(auth(&mut t, a, &format!("{user}:x")), ErrorCode::OK);
    }
    assert_eq!(auth(&mut t, a, "c:x"), ErrorCode::AUTH_FAILED);
    assert!(t.is_closed(a));
    let (a, _) = t.resume(&t.credentials(a), 10_000);
    assert_eq!(auth(&mut t, a, "c:x"), ErrorCode::OK, "they belong to the connection");

    // A name, a colon, and a hash of 28 characters each.
    let mut t = with(|config| config.max_auth_id_bytes = 2 * (100 + 1 + 28));
    let a = t.connect(10_000);
    for user in ["a", "b"] {
        assert_eq!(auth(&mut t, a, &format!("{}:x", user.repeat(100))), ErrorCode::OK);
    }
    assert_eq!(auth(&mut t, a, "c:x"), ErrorCode::AUTH_FAILED);
    assert!(t.is_closed(a));
}

#[test]
fn entries_of_a_list_are_limited_after_auth_is_expanded() {
    let mut t = with(|config| config.max_acl_entries = 20);
    let a = t.connect(10_000);
    (0..10).for_each(|n| assert_eq!(auth(&mut t, a, &format!("{n}:x")), ErrorCode::OK));
    let ips = |count: usize| (0..count).map(|n| entry(31, "ip", &format!("10.0.0.{n}"))).collect::<Vec<_>>();
    let auths = |count: i32| (0..count).map(|perms| entry(perms, "auth", "")).collect::<Vec<_>>();
    let refused = Err(ErrorCode::INVALID_ACL);
    for (n, (fits, too_long)) in [(ips(20), ips(21)), (auths(2), auths(3))].into_iter().enumerate() {
        let path = format!("/{n}");
        assert_eq!(t.call(a, &listed(&path, too_long.clone())).map(|_| ()), refused);
        let multi = Multi { ops: vec![MultiOp::Create(listed(&path, too_long.clone()))] };
        let results = t.call(a, &multi).unwrap().results;
        assert_eq!(results, [MultiResult::Error(ErrorCode::INVALID_ACL)]);
        t.call(a, &create(&path, CreateMode::Persistent)).unwrap();
        let set = |acl| SetAcl { path: Some(path.as_str().into()), acl: Some(acl), version: Expected::Any };
        assert_eq!(t.call(a, &set(too_long)).map(|_| ()), refused);
        t.call(a, &set(fits)).unwrap();
        assert_eq!(acl_of(&t, &path).len(), 20);
    }
    let both = [ips(11), auths(1)].concat();
    assert_eq!(t.call(a, &listed("/both", both)).map(|_| ()), refused);
}

#[test]
fn auth_entries_expand_to_at_most_the_limit_of_identities() {
    let mut t = with(|config| config.max_auth_ids = 40);
    let a = t.connect(10_000);
    (0..10).for_each(|n| assert_eq!(auth(&mut t, a, &format!("{n}:x")), ErrorCode::OK));
    let auths = |count: i32| (0..count).map(|perms| entry(perms, "auth", "")).collect::<Vec<_>>();
    assert_eq!(t.call(a, &listed("/a", auths(5))).map(|_| ()), Err(ErrorCode::INVALID_ACL));
    t.call(a, &listed("/a", auths(4))).unwrap();
    assert_eq!(acl_of(&t, "/a").len(), 40);
}

#[test]
fn ordinary_use_is_far_from_the_limits() {
    let mut t = Driver::new();
    let a = t.connect(10_000);
    (0..99).for_each(|n| assert_eq!(auth(&mut t, a, &format!("user-{n}:secret")), ErrorCode::OK));
    let mut acl: Vec<_> =
        (0..20_000).map(|n| entry(31, "ip", &format!("10.0.{}.{}", n / 256, n % 256))).collect();
    acl.push(entry(31, "auth", ""));
    t.call(a, &listed("/a", acl)).unwrap();
    assert_eq!(acl_of(&t, "/a").len(), 20_099);
    for n in 0..10_000 {
        t.call(a, &AddWatch { path: format!("/a/watched/{n}").into(), mode: 0 }).unwrap();
    }
    assert_eq!(t.core.watch_count(), 20_000);
}

#[test]
fn stored_lists_and_transactions_may_exceed_the_limits() {
    let long: Arc<[Acl]> = (0..50).map(|n| entry(31, "ip", &format!("127.0.0.{n}"))).collect();
    let mut before = with(|_| ());
    let a = before.connect(10_000);
    before.call(a, &listed("/a", long.to_vec())).unwrap();
    before.call(a, &create_with("/b", &[7; 1_000], CreateMode::Persistent)).unwrap();
    let config = Config { max_acl_entries: 10, max_transaction: 200, ..Config::default() };
    let mut core = Core::restore(config.clone(), Now::default(), Image::default());
    before.txns.iter().for_each(|txn| core.replay(Now::default(), txn.clone()));
    assert_eq!(core.image(), before.core.image());
    let core = Core::restore(config, Now::default(), before.core.image());
    assert_eq!(core.node("/a").unwrap().acl, long);
}

/// Sets a watch by one of five requests.
fn watch(t: &mut Driver, conn: ConnId, way: usize, path: &str) -> Result<(), ErrorCode> {
    match way {
        0 => t.call(conn, &get_data(path, true)).map(|_| ()),
        1 => t.call(conn, &exists(path, true)).map(|_| ()),
        2 => t.call(conn, &get_children(path, true)).map(|_| ()),
        3 => t.call(conn, &GetChildren2 { path: path.into(), watch: true }).map(|_| ()),
        _ => t.call(conn, &AddWatch { path: path.into(), mode: 1 }).map(|_| ()),
    }
}

#[test]
fn watches_of_a_connection_are_limited() {
    for way in 0..5 {
        let mut t = with(|config| config.max_watches = 3);
        let (a, b) = (t.connect(10_000), t.connect(10_000));
        for n in 0..4 {
            t.call(b, &create(&format!("/{n}"), CreateMode::Persistent)).unwrap();
        }
        for path in ["/0", "/1", "/2", "/0", "/1", "/2"] {
            assert_eq!(watch(&mut t, a, way, path), Ok(()), "{way} {path}");
        }
        assert_eq!(watch(&mut t, a, way, "/3"), Err(ErrorCode::QUOTA_EXCEEDED), "{way}");
        assert_eq!(t.core.watch_count(), 3);
        assert_eq!(watch(&mut t, b, way, "/3"), Ok(()), "others have their own");
        if way < 4 {
            t.call(b, &delete("/0")).unwrap();
        } else {
            let remove = RemoveWatches { path: "/0".into(), watcher_type: 3 };
            t.call(a, &remove).unwrap();
        }
        assert_eq!(watch(&mut t, a, way, "/3"), Ok(()), "a used-up watch makes room");
        t.lose(a);
        t.lose(b);
        assert_eq!(t.core.watch_count(), 0);
    }
}

#[test]
fn bytes_of_a_connections_watches_are_limited() {
    let mut t = with(|config| config.max_watch_bytes = 2_000);
    let a = t.connect(10_000);
    let path = |n: usize| format!("/{n}{}", "x".repeat(998));
    let no_node = Err(ErrorCode::NO_NODE);
    assert_eq!((watch(&mut t, a, 1, &path(0)), watch(&mut t, a, 1, &path(1))), (no_node, no_node));
    assert_eq!(watch(&mut t, a, 1, "/"), Err(ErrorCode::QUOTA_EXCEEDED));
    assert_eq!(watch(&mut t, a, 1, &path(0)), no_node, "it is there");
    let remove = RemoveWatches { path: path(0).as_str().into(), watcher_type: 3 };
    t.call(a, &remove).unwrap();
    // A persistent watch is in both tables.
    let both = |path: String| AddWatch { path: path.as_str().into(), mode: 0 };
    assert_eq!(t.call(a, &both(path(0))).map(|_| ()), Err(ErrorCode::QUOTA_EXCEEDED));
    assert_eq!(t.core.watch_count(), 1, "all or nothing");
    t.call(a, &both("/".into())).unwrap();
}

#[test]
fn setting_too_many_watches_again_closes_the_connection() {
    for kind in 0..5 {
        let mut t = with(|config| config.max_watches = 3);
        let (a, b) = (t.connect(10_000), t.connect(10_000));
        let session = t.session(a);
        // Watches on data and on children would give an event at once if the node did not exist.
        let is_there = matches!(kind, 0 | 2);
        let path = |n: i32| ByteString::from(format!("/{n}"));
        if is_there {
            (0..4).for_each(|n| {
                t.call(b, &create(&path(n), CreateMode::Persistent)).unwrap();
            });
        }
        let mut lists: [Vec<ByteString>; 5] = Default::default();
        lists[kind] = (0..4).map(path).collect();
        let [data_watches, exist_watches, child_watches, persistent_watches, persistent_recursive_watches] =
            lists;
        let request = SetWatches2 {
            relative_zxid: t.core.last_zxid(),
            data_watches,
            exist_watches,
            child_watches,
            persistent_watches,
            persistent_recursive_watches,
        };
        let mut frame = encode(&RequestHeader { xid: Xid::SET_WATCHES, op: SetWatches2::OP }).to_vec();
        frame.extend_from_slice(&encode(&request));
        t.frame(a, frame.into());
        assert!(t.is_closed(a), "{kind}");
        assert_eq!(t.heard(a).len(), 2, "{kind}: it is told nothing");
        assert_eq!(t.core.watch_count(), 0);
        assert!(t.core.sessions().iter().any(|info| info.id == session), "the session lives on");
    }
}

#[test]
fn a_too_long_reply_is_an_error_and_its_write_is_not_applied() {
    let mut t = with(|config| config.max_reply = 1_000);
    let a = t.connect(10_000);
    t.call(a, &create("/p", CreateMode::Persistent)).unwrap();
    let child = |n: usize| format!("/p/{n}{}", "x".repeat(299));
    for n in 0..4 {
        t.call(a, &create(&child(n), CreateMode::Ephemeral)).unwrap();
    }
    let refused = Err(ErrorCode::MARSHALLING_ERROR);
    assert_eq!(t.call(a, &get_children("/p", false)).map(|_| ()), refused);
    assert_eq!(t.call(a, &GetChildren2 { path: "/p".into(), watch: false }).map(|_| ()), refused);
    assert_eq!(t.call(a, &GetEphemerals { prefix_path: None }).map(|_| ()), refused);
    let ops = || (4..8).map(|n| MultiOp::Create(create(&child(n), CreateMode::Persistent))).collect();
    assert_eq!(t.call(a, &Multi { ops: ops() }).map(|_| ()), refused);
    assert_eq!(
        t.call(a, &create(&format!("/{}", "x".repeat(999)), CreateMode::Persistent)).map(|_| ()),
        refused
    );
    assert_eq!(t.core.children("/p").unwrap().len(), 4);
    assert_eq!(t.core.children("/").unwrap(), ["p", "zookeeper"]);
    t.call(a, &delete(&child(0))).unwrap();
    assert_eq!(t.call(a, &get_children("/p", false)).unwrap().children.len(), 3);
}
