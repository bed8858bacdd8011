//! Watches (rules 2, 43 to 54).

use zk_mini::core::{Compat, ConnId};
use zk_wire::*;

use crate::driver::*;

const CREATED: EventType = EventType::NODE_CREATED;
const DELETED: EventType = EventType::NODE_DELETED;
const CHANGED: EventType = EventType::NODE_DATA_CHANGED;
const CHILDREN: EventType = EventType::NODE_CHILDREN_CHANGED;

fn event(kind: EventType, path: &str) -> (EventType, String) {
    (kind, path.into())
}

fn both() -> [Driver; 2] {
    [Driver::compat(Compat::V3_8), Driver::compat(Compat::V3_9)]
}

fn make(t: &mut Driver, conn: ConnId, path: &str) {
    t.call(conn, &create(path, CreateMode::Persistent)).unwrap();
}

#[test]
fn only_exists_watches_a_missing_node() {
    // 43
    for mut t in both() {
        let a = t.connect(10_000);
        t.call(a, &get_data("/x", true)).unwrap_err();
        t.call(a, &get_children("/x", true)).unwrap_err();
        assert_eq!(t.core.watch_count(), 0);
        t.call(a, &exists("/x", true)).unwrap_err();
        assert_eq!(t.core.watch_count(), 1);
        make(&mut t, a, "/x");
        assert_eq!(t.events(a), [event(CREATED, "/x")]);
        t.call(a, &set_data("/x", b"", -1)).unwrap();
        assert_eq!(t.events(a), [], "one event per watch");
        assert_eq!(t.core.watch_count(), 0);
    }
}

#[test]
fn data_and_exists_watches_are_one_and_a_delete_is_one_event() {
    // 44
    for mut t in both() {
        let a = t.connect(10_000);
        make(&mut t, a, "/x");
        t.call(a, &exists("/x", true)).unwrap();
        t.call(a, &get_data("/x", true)).unwrap();
        t.call(a, &set_data("/x", b"", -1)).unwrap();
        assert_eq!(t.events(a), [event(CHANGED, "/x")]);
        t.call(a, &get_data("/x", true)).unwrap();
        t.call(a, &get_children("/x", true)).unwrap();
        t.call(a, &delete("/x")).unwrap();
        assert_eq!(t.events(a), [event(DELETED, "/x")]);
        assert_eq!(t.core.watch_count(), 0);
    }
}

#[test]
fn events_come_for_the_node_then_for_its_parent_then_the_reply() {
    // 45
    for mut t in both() {
        let a = t.connect(10_000);
        t.call(a, &exists("/x", true)).unwrap_err();
        t.call(a, &get_children("/", true)).unwrap();
        make(&mut t, a, "/x");
        let heard = t.heard(a);
        assert!(matches!(
            &heard[heard.len() - 3..],
            [Heard::Event { kind: CREATED, .. }, Heard::Event { kind: CHILDREN, .. }, Heard::Reply { .. }]
        ));
        t.events(a);
        t.call(a, &exists("/x", true)).unwrap();
        t.call(a, &get_children("/", true)).unwrap();
        t.call(a, &delete("/x")).unwrap();
        assert_eq!(t.events(a), [event(DELETED, "/x"), event(CHILDREN, "/")]);
    }
}

#[test]
fn events_carry_the_zxid_of_their_cause_in_3_9_only() {
    // 2
    for (compat, carried) in [(Compat::V3_8, false), (Compat::V3_9, true)] {
        let mut t = Driver::compat(compat);
        let (a, b) = (t.connect(10_000), t.connect(10_000));
        t.call(a, &exists("/x", true)).unwrap_err();
        make(&mut t, b, "/x");
        let expected = if carried { t.core.last_zxid().0 } else { -1 };
        assert!(matches!(t.heard(a).last(), Some(Heard::Event { zxid, .. }) if *zxid == expected));
    }
}

#[test]
fn set_acl_and_a_new_child_fire_no_data_watch() {
    // 46
    for mut t in both() {
        let a = t.connect(10_000);
        make(&mut t, a, "/x");
        t.call(a, &get_data("/x", true)).unwrap();
        let acl = SetAcl { path: Some("/x".into()), acl: Some(vec![Acl::open()]), version: Expected::Any };
        t.call(a, &acl).unwrap();
        make(&mut t, a, "/x/y");
        assert_eq!(t.events(a), []);
    }
}

#[test]
fn each_watcher_gets_one_event() {
    let mut t = Driver::new();
    let writer = t.connect(10_000);
    make(&mut t, writer, "/x");
    let watchers: Vec<_> = (0..5).map(|_| t.connect(10_000)).collect();
    for &watcher in &watchers {
        t.call(watcher, &get_data("/x", true)).unwrap();
        t.call(watcher, &get_data("/x", true)).unwrap();
    }
    t.lose(watchers[2]);
    t.call(writer, &set_data("/x", b"", -1)).unwrap();
    for (i, &watcher) in watchers.iter().enumerate() {
        let expected = if i == 2 { vec![] } else { vec![event(CHANGED, "/x")] };
        assert_eq!(t.events(watcher), expected);
    }
    assert_eq!(t.core.watch_count(), 0);
}

fn set_watches(zxid: Zxid, data: &[&str], exist: &[&str], child: &[&str]) -> SetWatches {
    let paths = |paths: &[&str]| paths.iter().map(|&path| path.into()).collect();
    SetWatches {
        relative_zxid: zxid,
        data_watches: paths(data),
        exist_watches: paths(exist),
        child_watches: paths(child),
    }
}

#[test]
fn set_watches_sends_missed_events_at_once() {
    // 48: before the reply, and with the zxid -1 in both lines.
    for mut t in both() {
        let a = t.connect(10_000);
        for path in ["/changed", "/same", "/parent", "/quiet"] {
            make(&mut t, a, path);
        }
        let seen = t.core.last_zxid();
        t.call(a, &set_data("/changed", b"", -1)).unwrap();
        make(&mut t, a, "/parent/child");
        let request = set_watches(
            seen,
            &["/gone", "/changed", "/same"],
            &["/same", "/none"],
            &["/gone", "/parent", "/quiet"],
        );
        let (_, err, body) = t.reply(a, &request);
        assert_eq!((err, body.len()), (ErrorCode::OK, 0));
        assert!(t.heard(a).iter().all(|heard| !matches!(heard, Heard::Event { zxid: 0.., .. })));
        let expected = [
            event(DELETED, "/gone"),
            event(CHANGED, "/changed"),
            event(CREATED, "/same"),
            event(DELETED, "/gone"),
            event(CHILDREN, "/parent"),
        ];
        assert_eq!(t.events(a), expected);
        assert_eq!(t.core.watch_count(), 3);
        t.call(a, &set_data("/same", b"", -1)).unwrap();
        make(&mut t, a, "/none");
        make(&mut t, a, "/quiet/child");
        assert_eq!(
            t.events(a),
            [event(CHANGED, "/same"), event(CREATED, "/none"), event(CHILDREN, "/quiet")]
        );
    }
}

fn add_watch(t: &mut Driver, conn: ConnId, path: &str, mode: i32) {
    let response = t.call(conn, &AddWatch { path: path.into(), mode }).unwrap();
    assert_eq!(response.err, ErrorCode::OK, "5");
}

#[test]
fn a_persistent_watch_gets_all_events_of_its_node() {
    // 49
    for mut t in both() {
        let (a, b) = (t.connect(10_000), t.connect(10_000));
        add_watch(&mut t, a, "/x", 0);
        for _ in 0..2 {
            make(&mut t, b, "/x");
            t.call(b, &set_data("/x", b"", -1)).unwrap();
            make(&mut t, b, "/x/y");
            t.call(b, &set_data("/x/y", b"", -1)).unwrap();
            t.call(b, &delete("/x/y")).unwrap();
            t.call(b, &delete("/x")).unwrap();
            let kinds = [CREATED, CHANGED, CHILDREN, CHILDREN, DELETED];
            assert_eq!(t.events(a), kinds.map(|kind| event(kind, "/x")));
        }
    }
}

#[test]
fn a_recursive_watch_gets_all_events_below_but_no_changes_of_child_lists() {
    // 49: one event, however many ancestors are watched.
    for mut t in both() {
        let (a, b) = (t.connect(10_000), t.connect(10_000));
        add_watch(&mut t, a, "/", 1);
        add_watch(&mut t, a, "/x", 1);
        make(&mut t, b, "/x");
        make(&mut t, b, "/x/y");
        t.call(b, &set_data("/x/y", b"", -1)).unwrap();
        t.call(b, &delete("/x/y")).unwrap();
        let expected =
            [event(CREATED, "/x"), event(CREATED, "/x/y"), event(CHANGED, "/x/y"), event(DELETED, "/x/y")];
        assert_eq!(t.events(a), expected);
    }
}

#[test]
fn modes_replace_each_other_in_3_8_and_add_up_in_3_9() {
    // 50
    for (compat, adds_up) in [(Compat::V3_8, false), (Compat::V3_9, true)] {
        let mut t = Driver::compat(compat);
        let (a, b) = (t.connect(10_000), t.connect(10_000));
        make(&mut t, b, "/x");
        add_watch(&mut t, a, "/x", 0);
        t.call(a, &get_data("/x", true)).unwrap();
        for _ in 0..2 {
            t.call(b, &set_data("/x", b"", -1)).unwrap();
        }
        assert_eq!(t.events(a).len(), if adds_up { 2 } else { 1 });
        make(&mut t, b, "/x/y");
        assert_eq!(t.events(a), [event(CHILDREN, "/x")], "the half for children stays");
    }
}

#[test]
fn add_watch_checks_the_mode_and_not_the_path() {
    // 51
    for mut t in both() {
        let a = t.connect(10_000);
        for path in ["", "no path", "/none"] {
            add_watch(&mut t, a, path, 0);
        }
        for mode in [-1, 2, 7] {
            let outcome = t.call(a, &AddWatch { path: "/x".into(), mode });
            assert_eq!(outcome, Err(ErrorCode::MARSHALLING_ERROR));
        }
    }
}

fn remove(t: &mut Driver, conn: ConnId, path: &str, watcher_type: i32) -> Result<(), ErrorCode> {
    t.call(conn, &RemoveWatches { path: path.into(), watcher_type })
}

fn check(t: &mut Driver, conn: ConnId, path: &str, watcher_type: i32) -> Result<(), ErrorCode> {
    t.call(conn, &CheckWatches { path: path.into(), watcher_type })
}

#[test]
fn watches_can_be_removed_by_type() {
    // 52
    for mut t in both() {
        let a = t.connect(10_000);
        make(&mut t, a, "/x");
        t.call(a, &get_data("/x", true)).unwrap();
        t.call(a, &get_children("/x", true)).unwrap();
        assert_eq!(remove(&mut t, a, "/x", 0), Err(ErrorCode::MARSHALLING_ERROR));
        assert_eq!(remove(&mut t, a, "/x", 1), Ok(()));
        assert_eq!(remove(&mut t, a, "/x", 1), Err(ErrorCode::NO_WATCHER));
        assert_eq!(remove(&mut t, a, "/x", 3), Ok(()));
        assert_eq!(remove(&mut t, a, "/x", 2), Err(ErrorCode::NO_WATCHER));
        t.call(a, &set_data("/x", b"", -1)).unwrap();
        assert_eq!(t.events(a), []);
        assert_eq!(t.core.watch_count(), 0);
    }
}

#[test]
fn removal_takes_half_of_a_persistent_watch_in_3_8_and_none_in_3_9() {
    // 52
    let mut t = Driver::compat(Compat::V3_8);
    let a = t.connect(10_000);
    add_watch(&mut t, a, "/x", 0);
    assert_eq!(remove(&mut t, a, "/x", 4), Err(ErrorCode::MARSHALLING_ERROR));
    assert_eq!(remove(&mut t, a, "/x", 2), Ok(()));
    make(&mut t, a, "/x");
    make(&mut t, a, "/x/y");
    assert_eq!(t.events(a), [event(CHILDREN, "/x")]);

    let mut t = Driver::new();
    let a = t.connect(10_000);
    add_watch(&mut t, a, "/x", 0);
    add_watch(&mut t, a, "/y", 1);
    for (path, watcher_type) in [("/x", 1), ("/x", 2), ("/x", 5), ("/y", 2), ("/y", 4), ("/y/z", 5)] {
        assert_eq!(
            remove(&mut t, a, path, watcher_type),
            Err(ErrorCode::NO_WATCHER),
            "{path} {watcher_type}"
        );
    }
    assert_eq!(remove(&mut t, a, "/x", 4), Ok(()));
    assert_eq!(remove(&mut t, a, "/y", 5), Ok(()));
    assert_eq!(t.core.watch_count(), 0);
}

#[test]
fn check_watches_finds_all_watches_in_3_8_and_own_ones_in_3_9() {
    // 53
    for (compat, of_others) in [(Compat::V3_8, Ok(())), (Compat::V3_9, Err(ErrorCode::NO_WATCHER))] {
        let mut t = Driver::compat(compat);
        let (a, b) = (t.connect(10_000), t.connect(10_000));
        t.call(a, &exists("/x", true)).unwrap_err();
        assert_eq!(check(&mut t, a, "/x", 2), Ok(()));
        assert_eq!(check(&mut t, a, "/x", 3), Ok(()));
        assert_eq!(check(&mut t, a, "/x", 1), Err(ErrorCode::NO_WATCHER));
        assert_eq!(check(&mut t, a, "/x", 9), Err(ErrorCode::MARSHALLING_ERROR));
        assert_eq!(check(&mut t, b, "/x", 2), of_others);
        assert_eq!(remove(&mut t, b, "/x", 2), Err(ErrorCode::NO_WATCHER));
        add_watch(&mut t, a, "/r", 1);
        assert_eq!(check(&mut t, a, "/r/below", 3), Err(ErrorCode::NO_WATCHER));
    }
}

#[test]
fn events_are_withheld_without_read_permission() {
    // 54: a one-shot watch is used up nevertheless.
    for mut t in both() {
        let (a, b) = (t.connect(10_000), t.connect(10_000));
        t.call(b, &Auth { auth_type: 0, scheme: Some("digest".into()), auth: Some("b:b".into()) }).unwrap();
        make(&mut t, b, "/x");
        t.call(a, &get_data("/x", true)).unwrap();
        add_watch(&mut t, a, "/x", 0);
        let own = Acl { perms: Perms::ALL, scheme: "auth".into(), id: "".into() };
        let acl = SetAcl { path: Some("/x".into()), acl: Some(vec![own]), version: Expected::Any };
        t.call(b, &acl).unwrap();
        t.call(b, &set_data("/x", b"", -1)).unwrap();
        make(&mut t, b, "/x/y");
        t.call(b, &delete("/x/y")).unwrap();
        t.call(b, &delete("/x")).unwrap();
        assert_eq!(t.events(a), []);
    }
}

#[test]
fn in_3_8_a_check_searches_parents_while_there_is_a_recursive_watch() {
    // 74
    let mut t = Driver::compat(Compat::V3_8);
    let (a, b) = (t.connect(10_000), t.connect(10_000));
    let (unreadable, none) = (Err(ErrorCode::MARSHALLING_ERROR), Err(ErrorCode::NO_WATCHER));
    let check_all = |t: &mut Driver, relative: Result<(), ErrorCode>| {
        for kind in 1..=3 {
            assert_eq!(check(t, a, "a", kind), unreadable, "a path without a slash always fails");
            assert_eq!(check(t, a, "a/b", kind), relative);
            assert_eq!(check(t, a, "", kind), none, "even if it is watched");
            assert_eq!(check(t, a, "/a/b", kind), none);
        }
    };
    check_all(&mut t, none);
    add_watch(&mut t, b, "", 0);
    add_watch(&mut t, b, "/other", 0);
    check_all(&mut t, none);
    add_watch(&mut t, b, "/other", 1);
    check_all(&mut t, unreadable);
    add_watch(&mut t, b, "c/d", 0);
    assert_eq!(check(&mut t, a, "c/d", 3), Ok(()), "a watched path is found before its parents are searched");
    // Now only the table of children has a recursive watch.
    t.call(b, &exists("/other", true)).unwrap_err();
    assert_eq!(check(&mut t, a, "a/b", 1), unreadable);
    assert_eq!(check(&mut t, a, "a/b", 2), none);
    assert_eq!(check(&mut t, a, "a/b", 3), unreadable);
}
