//! The tree as it was: exactly as recorded at the time, after any history.

use bytes::Bytes;
use proptest::prelude::*;
use zk_mini::core::{Config, Core, Image, ImageNode, NoSubtree, NodeKind, Reach, SubtreeNode};
use zk_mini::history::{NotKept, PastNode, PastTree};
use zk_wire::*;

use crate::driver::*;

const CLIENTS: usize = 2;

#[derive(Clone, Debug)]
enum Step {
    Write(usize, Write),
    Multi(usize, Vec<Write>),
    /// Creates a container, or a node with a time to live.
    Reapable(usize, &'static str, Option<i64>),
    /// Ends the session and opens another.
    Close(usize),
    /// Loses the connection, lets the session expire, and opens another.
    Expire(usize),
    Advance(u64),
}

#[derive(Clone, Debug)]
enum Write {
    Create(&'static str, Vec<u8>, CreateMode),
    Delete(&'static str),
    Set(&'static str, Option<Vec<u8>>),
    SetAcl(&'static str, i32),
}

const PATHS: [&str; 12] = [
    "/a",
    "/b",
    "/a/x",
    "/a/y",
    "/a/x/z",
    "/b/x",
    "/b/x/y",
    "/zookeeper/quota/a",
    "/zookeeper/quota/a/zookeeper_limits",
    "/zookeeper/quota/a/zookeeper_stats",
    "/zookeeper/quota/b",
    "/zookeeper/quota/b/zookeeper_limits",
];

fn path() -> impl Strategy<Value = &'static str> {
    prop::sample::select(PATHS.as_slice())
}

fn write() -> impl Strategy<Value = Write> {
    let modes = vec![
        CreateMode::Persistent,
        CreateMode::Persistent,
        CreateMode::Ephemeral,
        CreateMode::PersistentSequential,
        CreateMode::EphemeralSequential,
    ];
    // The history keeps short data in its records, and long data beside them.
    let data = || {
        prop_oneof![4 => 0..20_usize, 1 => 120..140_usize, 1 => 1_000..2_000_usize]
            .prop_flat_map(|len| prop::collection::vec(any::<u8>(), len))
    };
    prop_oneof![
        6 => (path(), data(), prop::sample::select(modes)).prop_map(|(path, data, mode)| Write::Create(path, data, mode)),
        3 => path().prop_map(Write::Delete),
        3 => (path(), prop::option::of(data())).prop_map(|(path, data)| Write::Set(path, data)),
        1 => (path(), 1..32_i32).prop_map(|(path, perms)| Write::SetAcl(path, perms | Perms::ADMIN.0)),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let who = || 0..CLIENTS;
    prop_oneof![
        12 => (who(), write()).prop_map(|(who, write)| Step::Write(who, write)),
        3 => (who(), prop::collection::vec(write(), 0..5)).prop_map(|(who, writes)| Step::Multi(who, writes)),
        2 => (who(), path(), prop::option::of(1..50_000_i64)).prop_map(|(who, path, ttl)| Step::Reapable(who, path, ttl)),
        1 => who().prop_map(Step::Close),
        1 => who().prop_map(Step::Expire),
        1 => (0..70_000_u64).prop_map(Step::Advance),
    ]
}

fn acl(perms: i32) -> Option<Vec<Acl>> {
    Some(vec![Acl { perms: Perms(perms), ..Acl::open() }])
}

fn multi_op(write: &Write) -> Option<MultiOp> {
    Some(match write {
        Write::Create(path, data, mode) => MultiOp::Create(create_with(path, data, *mode)),
        Write::Delete(path) => MultiOp::Delete(delete(path)),
        Write::Set(path, data) => MultiOp::SetData(set(path, data.as_deref())),
        Write::SetAcl(..) => return None,
    })
}

fn set(path: &str, data: Option<&[u8]>) -> SetData {
    SetData { path: Some(path.into()), data: data.map(Bytes::copy_from_slice), version: Expected::Any }
}

struct World {
    t: Driver,
    conns: [zk_mini::core::ConnId; CLIENTS],
    /// The state after each transaction.
    images: Vec<Image>,
}

impl World {
    fn new(history: usize) -> Self {
        let config = Config { history, extended_types: true, ..Config::default() };
        let mut t = Driver::with(config);
        let conns = [0; CLIENTS].map(|_| t.connect(6_000));
        let mut world = Self { t, conns, images: Vec::new() };
        world.record();
        world
    }

    /// Records the state, if there was a transaction. A step has one at most, except for those of the clock.
    fn record(&mut self) {
        if self.images.last().is_none_or(|last| last.last_zxid < self.t.core.last_zxid()) {
            self.images.push(self.t.core.image());
        }
    }

    fn run(&mut self, step: &Step) {
        let t = &mut self.t;
        match step {
            Step::Write(who, write) => {
                let conn = self.conns[*who];
                match write {
                    Write::Create(path, data, mode) => drop(t.reply(conn, &create_with(path, data, *mode))),
                    Write::Delete(path) => drop(t.reply(conn, &delete(path))),
                    Write::Set(path, data) => drop(t.reply(conn, &set(path, data.as_deref()))),
                    Write::SetAcl(path, perms) => {
                        let request =
                            SetAcl { path: Some((*path).into()), acl: acl(*perms), version: Expected::Any };
                        drop(t.reply(conn, &request));
                    }
                }
            }
            Step::Multi(who, writes) => {
                let ops = writes.iter().filter_map(multi_op).collect();
                drop(t.reply(self.conns[*who], &Multi { ops }));
            }
            Step::Reapable(who, path, None) => {
                let request = create_with(path, b"", CreateMode::Container);
                drop(t.raw(self.conns[*who], OpCode::CREATE_CONTAINER, &encode(&request)));
            }
            Step::Reapable(who, path, Some(ttl)) => {
                let mut body = encode(&create_with(path, b"", CreateMode::PersistentWithTtl)).to_vec();
                body.extend(ttl.to_be_bytes());
                drop(t.raw(self.conns[*who], OpCode::CREATE_TTL, &body));
            }
            Step::Close(who) => {
                drop(t.reply(self.conns[*who], &CloseSession {}));
                self.record();
                self.conns[*who] = self.t.connect(6_000);
            }
            Step::Expire(who) => {
                t.lose(self.conns[*who]);
                self.advance(9_000);
                self.conns[*who] = self.t.connect(6_000);
            }
            Step::Advance(span) => self.advance(*span),
        }
        self.record();
    }

    /// Advances in steps in which both clients ping, and records the state after each transaction that the clock causes.
    fn advance(&mut self, span: u64) {
        for _ in 0..span.div_ceil(1_000) {
            self.t.advance(1_000);
            self.record();
            for conn in self.conns {
                if !self.t.is_closed(conn) {
                    self.t.ping(conn);
                }
            }
        }
    }
}

/// Compares all fields of all nodes.
fn is_same(tree: &PastTree, image: &Image) -> Result<(), TestCaseError> {
    prop_assert_eq!(tree.zxid(), image.last_zxid);
    prop_assert_eq!(tree.len(), image.nodes.len());
    for node in &image.nodes {
        let past = tree.get(&node.path);
        prop_assert!(past.is_some(), "{} at {}", node.path, image.last_zxid);
        let below =
            |other: &&ImageNode| path::split(&other.path).is_some_and(|(parent, _)| parent == &*node.path);
        let mut names: Vec<_> = image
            .nodes
            .iter()
            .filter(below)
            .filter_map(|child| path::split(&child.path))
            .map(|(_, name)| name)
            .collect();
        names.sort_unstable();
        prop_assert_eq!(tree.children(&node.path), Some(names.clone()));
        let PastNode { data, acl, kind, stat, .. } = past.unwrap();
        prop_assert_eq!(
            (data, acl, kind),
            (&node.data, &node.acl, &node.kind),
            "{} at {}",
            node.path,
            image.last_zxid
        );
        let count = i32::try_from(names.len()).unwrap();
        let expected = Stat {
            czxid: node.czxid,
            mzxid: node.mzxid,
            ctime: node.ctime,
            mtime: node.mtime,
            version: node.version,
            cversion: Version(2 * node.created_children - count),
            aversion: node.aversion,
            ephemeral_owner: match node.kind {
                NodeKind::Ephemeral(session) => session,
                _ => SessionId::NONE,
            },
            data_length: node.data.as_ref().map_or(0, |data| i32::try_from(data.len()).unwrap()),
            num_children: count,
            pzxid: node.pzxid,
        };
        prop_assert_eq!(stat, &expected, "{} at {}", node.path, image.last_zxid);
    }
    Ok(())
}

const WHOLE: Reach = Reach { depth: usize::MAX, nodes: usize::MAX, bytes: usize::MAX };

/// Checks that subtrees show a past tree, or a part of it.
fn parts_are_the_same(core: &Core, tree: &PastTree) -> Result<(), TestCaseError> {
    let whole = core.subtree_at(tree.zxid(), "/", &WHOLE).unwrap();
    prop_assert_eq!(whole.zxid, tree.zxid());
    prop_assert_eq!(whole.nodes.len(), tree.len());
    for node in &whole.nodes {
        let then = tree.get(&node.path).unwrap();
        let (of_node, of_then) =
            ((&node.data, &node.acl, node.kind, &node.stat), (&then.data, &then.acl, then.kind, &then.stat));
        prop_assert_eq!(of_node, of_then, "{} at {}", node.path, tree.zxid());
        // Each part is in the whole, in one piece.
        let depth = 1;
        let part = core.subtree_at(tree.zxid(), &node.path, &Reach { depth, ..WHOLE }).unwrap();
        let prefix = if &*node.path == "/" { "/".into() } else { format!("{}/", node.path) };
        let within = |other: &&SubtreeNode| {
            other.path == node.path || other.path.starts_with(&prefix) && other.depth <= node.depth + depth
        };
        let expected: Vec<_> = whole.nodes.iter().filter(within).map(|node| &node.path).collect();
        prop_assert_eq!(part.nodes.iter().map(|node| &node.path).collect::<Vec<_>>(), expected);
        prop_assert!(part.nodes.iter().skip(1).is_sorted_by_key(|node| &node.path));
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]
    #[test]
    fn the_tree_at_a_zxid_is_what_it_was(
        history in prop::sample::select(vec![4, 20, 10_000]),
        steps in prop::collection::vec(step(), 1..60),
    ) {
        let mut world = World::new(history);
        for step in &steps {
            world.run(step);
        }
        let (mut shown, core) = (0, &world.t.core);
        for image in &world.images {
            match core.tree_at(image.last_zxid) {
                Ok(tree) => {
                    is_same(&tree, image)?;
                    parts_are_the_same(core, &tree)?;
                    shown += 1;
                }
                Err(NotKept::TooOld { oldest, .. }) => {
                    prop_assert!(history < 10_000 && shown == 0, "only the oldest are lost");
                    prop_assert!(core.tree_at(oldest).is_ok());
                }
                Err(other) => prop_assert!(false, "{}", other),
            }
        }
        prop_assert!(shown > 0, "the present, at least");
        is_same(&core.tree_at(core.last_zxid()).unwrap(), &core.image())?;
        for path in PATHS {
            let present = core.subtree(path, &WHOLE);
            match core.subtree_at(core.last_zxid(), path, &WHOLE) {
                Err(NoSubtree::NoNodeThen { .. }) => {
                    let is_missing = matches!(present, Err(NoSubtree::NoNode { .. }));
                    prop_assert!(is_missing, "{}", path);
                }
                then => prop_assert_eq!(present, then),
            }
        }
        let next = core.last_zxid().next();
        prop_assert_eq!(core.tree_at(next), Err(NotKept::NotYet { asked: next, last: core.last_zxid() }));
    }
}

#[test]
fn large_values_shorten_the_past_and_not_the_memory() {
    let mut t = Driver::with(Config { history: 100, ..Config::default() });
    let conn = t.connect(10_000);
    t.call(conn, &create("/a", CreateMode::Persistent)).unwrap();
    for _ in 0..10 {
        t.call(conn, &set_data("/a", &vec![7; 1 << 20], -1)).unwrap();
    }
    let error = t.core.tree_at(Zxid(2)).unwrap_err();
    let NotKept::TooOld { asked: Zxid(2), oldest } = error else { panic!("{error}") };
    assert_eq!(oldest, t.core.last_zxid());
    assert!(
        error.to_string().starts_with("the tree after transaction 0x2 is no longer known: 0xc is the oldest")
    );
}

#[test]
fn nodes_with_very_long_paths_have_a_past() {
    let mut t = Driver::with(Config { history: 100, ..Config::default() });
    let conn = t.connect(10_000);
    let path = format!("/{}", "ä".repeat(1_000));
    let data = vec![7; 1_000];
    t.call(conn, &create_with(&path, &data, CreateMode::Persistent)).unwrap();
    let created = t.core.last_zxid();
    t.call(conn, &set_data(&path, b"short", -1)).unwrap();
    let set = t.core.last_zxid();
    t.call(conn, &delete(&path)).unwrap();
    let data_at = |zxid| t.core.tree_at(zxid).unwrap().get(&path).map(|node| node.data.clone());
    assert_eq!(data_at(created), Some(Some(data.into())));
    assert_eq!(data_at(set), Some(Some("short".into())));
    assert_eq!(data_at(t.core.last_zxid()), None);
    assert_eq!(data_at(Zxid(1)), None);
}

#[test]
fn lists_of_access_shorten_the_past_and_not_the_memory() {
    let mut t = Driver::with(Config { history: 10, ..Config::default() });
    let conn = t.connect(10_000);
    t.call(conn, &create("/a", CreateMode::Persistent)).unwrap();
    let created = t.core.last_zxid();
    for round in 0..3 {
        let entry = |n| Acl {
            perms: Perms::ALL,
            scheme: "digest".into(),
            id: format!("user-{round}-{n}:hash").into(),
        };
        let acl = std::iter::once(Acl::open()).chain((0..40).map(entry)).collect();
        t.call(conn, &SetAcl { path: Some("/a".into()), acl: Some(acl), version: Expected::Any }).unwrap();
    }
    let before = Zxid(t.core.last_zxid().0 - 1);
    assert!(matches!(t.core.tree_at(created), Err(NotKept::TooOld { .. })));
    assert_eq!(t.core.tree_at(before).unwrap().get("/a").unwrap().acl.len(), 41);
}

#[test]
fn without_a_history_there_is_no_past() {
    assert_eq!(Driver::new().core.tree_at(Zxid(0)), Err(NotKept::NotRecorded));
}
