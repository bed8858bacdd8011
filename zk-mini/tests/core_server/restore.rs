//! Restore from images that are not exactly the state, as Apache ZooKeeper's fuzzy snapshots.

use zk_mini::core::{Change, Config, Core, CreateNode, Image, ImageNode, ImageWalk, NodeKind, Now, Txn};
use zk_wire::*;

use crate::driver::*;
use crate::invariants;

const OWNER: SessionId = SessionId(0x0100_0000_0000_0007);

fn acl(perms: Perms) -> std::sync::Arc<[Acl]> {
    [Acl { perms, ..Acl::open() }].into()
}

fn node(path: &str, kind: NodeKind) -> ImageNode {
    ImageNode {
        path: path.into(),
        data: None,
        acl: acl(Perms::ALL),
        kind,
        czxid: Zxid(1),
        mzxid: Zxid(1),
        pzxid: Zxid(1),
        ctime: UnixMillis(0),
        mtime: UnixMillis(0),
        version: Version(0),
        aversion: Version(0),
        created_children: 0,
    }
}

fn image(nodes: Vec<ImageNode>) -> Image {
    Image { last_zxid: Zxid(10), sessions: vec![(OWNER, Millis(10_000))], nodes, digest: None }
}

fn restore(nodes: Vec<ImageNode>) -> Core {
    Core::restore(Config::default(), Now::default(), image(nodes))
}

fn replay(core: &mut Core, changes: impl IntoIterator<Item = Change>) {
    replay_of(core, OWNER, changes);
}

fn replay_of(core: &mut Core, session: SessionId, changes: impl IntoIterator<Item = Change>) {
    for change in changes {
        let zxid = core.last_zxid().next();
        let txn = Txn { zxid, time: UnixMillis(0), session, xid: Xid(1), change, digest: None };
        core.replay(Now::default(), txn);
    }
}

fn create(path: &str, perms: Perms, parent_cversion: i32) -> Change {
    let kind = NodeKind::Persistent;
    Change::Create(CreateNode { path: path.into(), data: None, acl: acl(perms), kind, parent_cversion })
}

fn delete(path: &str) -> Change {
    Change::Delete { path: path.into() }
}

#[test]
fn a_node_below_a_recreated_parent_is_listed() {
    // The image shows both nodes as they are after all transactions.
    let mut core = restore(vec![node("/a", NodeKind::Persistent), node("/a/b", NodeKind::Ephemeral(OWNER))]);
    replay(&mut core, [delete("/a"), create("/a", Perms::ALL, 2), create("/a/b", Perms::ALL, 1)]);
    assert_eq!(core.children("/a").unwrap(), ["b"]);
    assert!(!core.recovered(Now::default()));
    invariants::check(&core);
}

#[test]
fn an_acl_missing_in_the_snapshot_comes_from_its_transaction() {
    let unknown = ImageNode { acl: [].into(), ..node("/a", NodeKind::Persistent) };
    let mut core = restore(vec![unknown.clone()]);
    assert_eq!(core.without_acl().as_deref(), Some("/a"));
    replay(&mut core, [create("/a", Perms::READ, 1)]);
    assert_eq!(core.without_acl(), None);
    let nodes = core.image().nodes;
    assert_eq!(nodes.iter().find(|node| node.path == "/a").unwrap().acl, acl(Perms::READ));

    let mut core = restore(vec![unknown]);
    replay(&mut core, [delete("/a")]);
    assert_eq!(core.without_acl(), None);
}

#[test]
fn a_deletion_updates_the_parent_even_if_the_child_is_missing() {
    let mut core = restore(vec![node("/a", NodeKind::Persistent)]);
    replay(&mut core, [delete("/a/gone")]);
    assert_eq!(core.node("/a").unwrap().stat.pzxid, Zxid(11));
}

#[test]
fn a_closed_session_loses_all_its_nodes_whatever_the_log_lists() {
    for ephemerals in [None, Some(Vec::new())] {
        let mut core =
            restore(vec![node("/a", NodeKind::Ephemeral(OWNER)), node("/b", NodeKind::Persistent)]);
        replay(&mut core, [Change::CloseSession { ephemerals }]);
        assert_eq!(core.children("/").unwrap(), ["b", "zookeeper"]);
        invariants::check(&core);
    }
}

#[test]
fn a_session_with_the_number_of_a_time_to_live_takes_no_other_node_along() {
    // Apache ZooKeeper gives such numbers if the server's own is 255.
    let strange = SessionId(0xff00_0000_0000_0007_u64.cast_signed());
    let mut core = restore(Vec::new());
    let Change::Create(lock) = create("/lock", Perms::ALL, 1) else { unreachable!() };
    let held = Change::Create(CreateNode { kind: NodeKind::Ephemeral(strange), ..lock });
    let start = Change::CreateSession { timeout: Millis(10_000) };
    replay_of(&mut core, strange, [start, held, delete("/lock")]);
    replay(&mut core, [create("/lock", Perms::ALL, 2)]);
    replay_of(&mut core, strange, [Change::CloseSession { ephemerals: Some(Vec::new()) }]);
    assert_eq!(core.children("/").unwrap(), ["lock", "zookeeper"]);
    invariants::check(&core);
}

#[test]
fn nodes_of_unknown_sessions_are_deleted_and_reported() {
    let stranger = SessionId(OWNER.0 + 1);
    let mut core =
        restore(vec![node("/a", NodeKind::Ephemeral(stranger)), node("/b", NodeKind::Ephemeral(OWNER))]);
    assert!(core.recovered(Now::default()));
    assert_eq!(core.children("/").unwrap(), ["b", "zookeeper"]);
    assert!(!core.recovered(Now::default()));
    invariants::check(&core);
}

#[test]
fn quotas_are_counted_again() {
    let text = |text: &'static str| Some(bytes::Bytes::from_static(text.as_bytes()));
    let quota = "/zookeeper/quota/a";
    let (limits, stats) = (format!("{quota}/zookeeper_limits"), format!("{quota}/zookeeper_stats"));
    let mut core = restore(vec![
        node("/a", NodeKind::Persistent),
        ImageNode { data: text("12345"), ..node("/a/b", NodeKind::Persistent) },
        node(quota, NodeKind::Persistent),
        ImageNode { data: text("count=9,bytes=-1"), ..node(&limits, NodeKind::Persistent) },
        ImageNode { data: text("count=7,bytes=70"), ..node(&stats, NodeKind::Persistent) },
    ]);
    core.recovered(Now::default());
    assert_eq!(core.node(&stats).unwrap().data, text("count=2,bytes=5"));
    invariants::check(&core);
}

#[test]
fn a_session_after_a_restart_has_a_new_id() {
    let mut t = Driver::new();
    let conns = [t.connect(10_000), t.connect(10_000)];
    let credentials = conns.map(|conn| t.credentials(conn));
    t.call(conns[1], &CloseSession {}).unwrap();
    let mut again = Driver::new();
    again.core = Core::restore(Config::default(), again.now, t.core.image());
    again.now.wall.0 += 1;
    again.core.recovered(again.now);
    let conn = again.connect(10_000);
    assert!(credentials.iter().all(|old| old.id != again.session(conn)));
    let (_, response) = again.resume(&credentials[1], 10_000);
    assert_eq!(response.session_id, SessionId::NONE, "its password is of no use");
}

#[test]
fn invalid_paths_give_no_nodes() {
    for odd in ["//", "//x", "x", ""] {
        let mut core = restore(vec![node(odd, NodeKind::Persistent), node("/a", NodeKind::Persistent)]);
        replay(&mut core, [create(odd, Perms::ALL, 2), delete(odd)]);
        assert_eq!(core.children("/").unwrap(), ["a", "zookeeper"], "{odd:?}");
        assert_eq!(core.image().nodes.len(), 5);
        invariants::check(&core);
    }
}

#[test]
fn nodes_created_during_an_image_are_left_to_transactions() {
    let mut core = restore(vec![node("/a", NodeKind::Persistent)]);
    let mut walk = ImageWalk::new(&core);
    walk.visit(&core, 0);
    replay(
        &mut core,
        [create("/a/b", Perms::ALL, 1), create("/c", Perms::ALL, 2), create("/c/d", Perms::ALL, 1)],
    );
    while !walk.visit(&core, 1) {}
    let image = walk.end(&core);
    assert!(image.nodes.iter().all(|node| node.czxid <= image.last_zxid));
    assert_eq!(image.digest, None);
}
