//! Reading (rules 2, 5, 23, 29, 33, 62, 63).

use bytes::Bytes;
use zk_wire::*;

use crate::driver::*;

#[test]
fn reads_validate_no_path() {
    // 23
    let mut t = Driver::new();
    let a = t.connect(10_000);
    t.call(a, &create("/a", CreateMode::Persistent)).unwrap();
    for path in ["/a/", "a", "/a\0", "//", "."] {
        assert_eq!(t.call(a, &get_data(path, false)), Err(ErrorCode::NO_NODE), "{path:?}");
        assert_eq!(t.call(a, &get_children(path, false)), Err(ErrorCode::NO_NODE), "{path:?}");
    }
    assert_eq!(t.call(a, &exists("/a\0", false)), Err(ErrorCode::BAD_ARGUMENTS));
    assert_eq!(t.call(a, &exists("/a/", false)), Err(ErrorCode::NO_NODE));
}

#[test]
fn the_empty_path_is_the_root_for_reads_only() {
    // 23
    let mut t = Driver::new();
    let a = t.connect(10_000);
    assert_eq!(t.call(a, &get_data("", true)), t.call(a, &get_data("/", false)));
    assert_eq!(t.call(a, &get_children("", true)).unwrap().children, ["zookeeper"]);
    assert_eq!(t.call(a, &create("", CreateMode::Persistent)), Err(ErrorCode::BAD_ARGUMENTS));
    assert_eq!(t.call(a, &delete("")), Err(ErrorCode::BAD_ARGUMENTS));
    assert_eq!(t.call(a, &set_data("", b"", -1)), Err(ErrorCode::BAD_ARGUMENTS));
    t.call(a, &set_data("/", b"x", -1)).unwrap();
    t.call(a, &create("/b", CreateMode::Persistent)).unwrap();
    assert_eq!(t.events(a), [], "a watch on the empty path never fires");
}

#[test]
fn invalid_bytes_in_a_path_read_as_replacement_characters() {
    let mut t = Driver::new();
    let a = t.connect(10_000);
    t.call(a, &create("/ü", CreateMode::Persistent)).unwrap();
    let path = |path: &[u8]| [&[0, 0, 0, u8::try_from(path.len()).unwrap()], path, &[1]].concat();
    for op in [OpCode::GET_DATA, OpCode::GET_CHILDREN, OpCode::GET_CHILDREN2, OpCode::EXISTS] {
        assert_eq!(t.raw(a, op, &path("/ü".as_bytes())).1, ErrorCode::OK, "{op}");
        assert_eq!(t.raw(a, op, &path(b"/\xfc")).1, ErrorCode::NO_NODE, "{op}");
        assert_eq!(t.raw(a, op, &path(b"/\xc3")).1, ErrorCode::NO_NODE, "{op}: the beginning of the name");
    }
    let watched = t.core.data_watches();
    assert_eq!(watched.iter().map(|(path, _)| &**path).collect::<Vec<_>>(), ["/ü", "/\u{fffd}"]);
}

#[test]
fn system_nodes_have_zookeepers_stats() {
    // 29, 32
    let mut t = Driver::new();
    let a = t.connect(10_000);
    let stat = |t: &mut Driver, path: &str| t.call(a, &exists(path, false)).unwrap().stat;
    let empty = Stat::default();
    assert_eq!(stat(&mut t, "/"), Stat { cversion: Version(-1), num_children: 1, ..empty });
    assert_eq!(stat(&mut t, "/zookeeper"), Stat { cversion: Version(-2), num_children: 2, ..empty });
    assert_eq!(stat(&mut t, "/zookeeper/quota"), empty);
    assert_eq!(stat(&mut t, "/zookeeper/config"), Stat { aversion: Version(-1), ..empty });
    let children = t.call(a, &get_children("/zookeeper", false)).unwrap().children;
    assert_eq!(children, ["config", "quota"]);
    assert_eq!(t.call(a, &get_data("/zookeeper/config", false)).unwrap().data, Some(Bytes::new()));
}

#[test]
fn null_and_empty_data_are_kept_apart() {
    // 33
    let mut t = Driver::new();
    let a = t.connect(10_000);
    for (path, data) in [("/null", None), ("/empty", Some(Bytes::new()))] {
        let request = Create { data: data.clone(), ..create(path, CreateMode::Persistent) };
        t.call(a, &request).unwrap();
        let response = t.call(a, &get_data(path, false)).unwrap();
        assert_eq!((response.data, response.stat.data_length), (data, 0));
    }
}

#[test]
fn a_read_shows_the_newest_zxid_of_all_sessions() {
    // 2
    let mut t = Driver::new();
    let (a, b) = (t.connect(10_000), t.connect(10_000));
    t.call(a, &create("/a", CreateMode::Persistent)).unwrap();
    let (zxid, _, _) = t.reply(b, &get_data("/a", false));
    assert_eq!(zxid, t.core.last_zxid().0);
    t.ping(b);
    assert!(matches!(t.heard(b).last(), Some(Heard::Reply { zxid: last, .. }) if *last == zxid));
}

#[test]
fn sync_echoes_anything() {
    // 62
    let mut t = Driver::new();
    let a = t.connect(10_000);
    for path in [None, Some("".into()), Some("no path".into())] {
        assert_eq!(t.call(a, &Sync { path: path.clone() }), Ok(SyncResponse { path }));
    }
}

#[test]
fn children_come_with_and_without_the_stat() {
    let mut t = Driver::new();
    let a = t.connect(10_000);
    for path in ["/p", "/p/b", "/p/a", "/p/c"] {
        t.call(a, &create(path, CreateMode::Persistent)).unwrap();
    }
    assert_eq!(t.call(a, &get_children("/p", false)).unwrap().children, ["a", "b", "c"]);
    let response = t.call(a, &GetChildren2 { path: "/p".into(), watch: false }).unwrap();
    assert_eq!(response.children, ["a", "b", "c"]);
    assert_eq!(response.stat, t.core.node("/p").unwrap().stat);
}

#[test]
fn a_long_list_of_children_is_always_current() {
    let mut t = Driver::new();
    let a = t.connect(10_000);
    let listed = |t: &mut Driver, parent: &str| {
        let lists = [(); 3].map(|()| t.call(a, &get_children(parent, false)).unwrap().children);
        let there = t.core.children(parent).unwrap();
        assert!(lists.iter().all(|list| *list == there), "{lists:?} of {there:?}");
        there.len()
    };
    // Creates two nodes by the same transactions, so that only their names differ.
    let both = |name: &str, op: fn(&str) -> MultiOp| Multi {
        ops: vec![op(&format!("/p{name}")), op(&format!("/q{name}"))],
    };
    let made: fn(&str) -> MultiOp = |path| MultiOp::Create(create(path, CreateMode::Persistent));
    let gone: fn(&str) -> MultiOp = |path| MultiOp::Delete(delete(path));
    t.call(a, &both("", made)).unwrap();
    for n in 0..100 {
        t.call(a, &both(&format!("/{n}"), made)).unwrap();
        assert_eq!([listed(&mut t, "/p"), listed(&mut t, "/q")], [n + 1; 2]);
    }
    t.call(a, &both("/7", gone)).unwrap();
    t.call(a, &create("/p/new", CreateMode::Persistent)).unwrap();
    t.call(a, &create("/q/another", CreateMode::Persistent)).unwrap();
    assert_eq!([listed(&mut t, "/p"), listed(&mut t, "/q")], [100; 2]);
    // A child is replaced by another before the next read.
    for (old, new) in [("/p/new", "/p/newer"), ("/p/8", "/p/9a"), ("/p/9a", "/p/8")] {
        t.call(a, &delete(old)).unwrap();
        t.call(a, &create(new, CreateMode::Persistent)).unwrap();
        assert_eq!(listed(&mut t, "/p"), 100);
    }
}

#[test]
fn ephemerals_are_matched_by_a_plain_prefix() {
    // 62, 34
    let mut t = Driver::new();
    let (a, b) = (t.connect(10_000), t.connect(10_000));
    t.call(a, &create("/a", CreateMode::Persistent)).unwrap();
    for path in ["/a/e", "/a/ex", "/f"] {
        t.call(a, &create(path, CreateMode::Ephemeral)).unwrap();
    }
    t.call(b, &create("/other", CreateMode::Ephemeral)).unwrap();
    let ephemerals = |t: &mut Driver, prefix: Option<&str>| {
        let request = GetEphemerals { prefix_path: prefix.map(ByteString::from) };
        t.call(a, &request).unwrap().ephemerals
    };
    assert_eq!(ephemerals(&mut t, Some("/a/e")), ["/a/e", "/a/ex"]);
    for all in [None, Some(""), Some("/"), Some("  "), Some(" / ")] {
        assert_eq!(ephemerals(&mut t, all), ["/a/e", "/a/ex", "/f"]);
    }
}

#[test]
fn all_descendants_are_counted() {
    // 63
    let mut t = Driver::new();
    let a = t.connect(10_000);
    for path in ["/p", "/p/a", "/p/a/b", "/pq"] {
        t.call(a, &create(path, CreateMode::Persistent)).unwrap();
    }
    let count = |t: &mut Driver, path: &str| {
        t.call(a, &GetAllChildrenNumber { path: path.into() }).map(|response| response.total_number)
    };
    assert_eq!(count(&mut t, "/p"), Ok(2));
    assert_eq!(count(&mut t, "/"), Ok(7));
    assert_eq!(count(&mut t, ""), Ok(8), "23: the root is below its other name");
    assert_eq!(count(&mut t, "/none"), Err(ErrorCode::NO_NODE));
}
