//! Inspection of a server without a client, by `ZkMini::direct`.

use zk_mini::core::WatchKind;
use zk_mini::{NoSubtree, Reach, ZkMini};

use crate::raw::{Raw, get_data, string};

const EXISTS: i32 = 3;
const SET_ACL: i32 = 7;
const GET_CHILDREN: i32 = 8;
const ADD_WATCH: i32 = 106;

#[tokio::test]
async fn every_kind_of_watch_is_listed_with_its_path_and_its_session() {
    let zk = ZkMini::builder().in_memory().start().await.unwrap();
    let mut raw = Raw::with_session(&zk, 4_000).await;
    let mut other = Raw::with_session(&zk, 4_000).await;
    raw.request(1, EXISTS, &get_data("/later", true)).await;
    raw.request(2, GET_CHILDREN, &get_data("/", true)).await;
    raw.request(3, crate::raw::GET_DATA, &get_data("/", true)).await;
    other.request(1, ADD_WATCH, &[string("/"), vec![0, 0, 0, 0]].concat()).await;
    other.request(2, ADD_WATCH, &[string("/deep"), vec![0, 0, 0, 1]].concat()).await;
    other.request(3, GET_CHILDREN, &get_data("/", false)).await;
    let connections = zk.connections();
    let watches = zk.watches();
    let shown: Vec<_> = watches
        .iter()
        .map(|watch| {
            let of = connections.iter().position(|connection| connection.id == watch.conn).unwrap();
            assert_eq!(watch.session, connections[of].session);
            (&watch.path[..], watch.kind, of)
        })
        .collect();
    assert_eq!(
        shown,
        [
            ("/", WatchKind::Data, 0),
            ("/", WatchKind::Children, 0),
            ("/", WatchKind::Persistent, 1),
            ("/deep", WatchKind::Recursive, 1),
            ("/later", WatchKind::Data, 0),
        ]
    );
    other.create("/later", 0).await;
    let kinds: Vec<_> = zk.watches().iter().map(|watch| watch.kind).collect();
    assert_eq!(kinds, [WatchKind::Data, WatchKind::Persistent, WatchKind::Recursive], "used up");
}

#[tokio::test]
async fn the_access_control_list_of_a_node_is_returned() {
    let zk = ZkMini::builder().in_memory().start().await.unwrap();
    let mut raw = Raw::with_session(&zk, 4_000).await;
    raw.create("/a", 0).await;
    let shown = |path| {
        let acl = zk.acl(path)?;
        Some(
            acl.iter()
                .map(|entry| format!("{}:{} {}", entry.scheme, entry.id, entry.perms.0))
                .collect::<Vec<_>>(),
        )
    };
    assert_eq!(shown("/a").unwrap(), ["world:anyone 31"]);
    let acl = [
        string("/a"),
        vec![0, 0, 0, 2, 0, 0, 0, 1],
        [string("world"), string("anyone"), vec![0, 0, 0, 31], string("digest"), string("joe:secret")]
            .concat(),
        vec![0xff; 4],
    ];
    assert_eq!(raw.request(1, SET_ACL, &acl.concat()).await.err, 0);
    assert_eq!(shown("/a").unwrap(), ["world:anyone 1", "digest:joe:secret 31"], "a digest is shown");
    assert_eq!(shown("/b"), None);
}

#[tokio::test]
async fn a_subtree_has_the_node_and_what_is_below_it_down_to_a_depth() {
    let zk = ZkMini::builder().in_memory().start().await.unwrap();
    for path in ["/s/b/2", "/s/a/1/x", "/s/a-b", "/other"] {
        zk.create(path, path).parents().await.unwrap();
    }
    let shown = |path, depth| {
        let subtree = zk.subtree(path, &Reach { depth, ..Reach::default() }).unwrap();
        assert_eq!(subtree.zxid, zk.last_zxid());
        subtree.nodes.iter().map(|node| format!("{} {}", node.depth, node.path)).collect::<Vec<_>>()
    };
    assert_eq!(shown("/s", 0), ["0 /s"]);
    assert_eq!(shown("/s", 1), ["0 /s", "1 /s/a", "1 /s/a-b", "1 /s/b"]);
    let all = ["0 /s", "1 /s/a", "2 /s/a/1", "3 /s/a/1/x", "1 /s/a-b", "1 /s/b", "2 /s/b/2"];
    assert_eq!(shown("/s", 9), all);
    let node = zk.subtree("/s/a-b", &Reach::default()).unwrap().nodes.remove(0);
    assert_eq!((node.data.as_deref(), node.stat), (Some(&b"/s/a-b"[..]), zk.get("/s/a-b").unwrap().1));
}

#[tokio::test]
async fn a_subtree_counts_the_watches_on_each_node() {
    let zk = ZkMini::builder().in_memory().start().await.unwrap();
    let mut raw = Raw::with_session(&zk, 4_000).await;
    let mut other = Raw::with_session(&zk, 4_000).await;
    raw.create("/a", 0).await;
    raw.request(1, EXISTS, &get_data("/a", true)).await;
    raw.request(2, GET_CHILDREN, &get_data("/a", true)).await;
    other.request(1, ADD_WATCH, &[string("/a"), vec![0, 0, 0, 0]].concat()).await;
    let watches = || {
        let subtree = zk.subtree("/", &Reach::default()).unwrap();
        subtree.nodes.iter().map(|node| node.watches).collect::<Vec<_>>()
    };
    assert_eq!(watches(), [0, 3, 0]);
    assert_eq!(zk.watches().len(), 3, "as they are listed");
    drop(raw);
    zk.wait_for(|zk| zk.connections().len() == 1, std::time::Duration::from_secs(20)).await.unwrap();
    assert_eq!(watches(), [0, 1, 0]);
}

#[tokio::test]
async fn a_subtree_that_is_too_large_is_refused_and_not_cut() {
    let zk = ZkMini::builder().in_memory().start().await.unwrap();
    for n in 0..10 {
        zk.create(&format!("/s/{n}"), vec![b'x'; 100]).parents().await.unwrap();
    }
    let reach = |nodes, bytes| zk.subtree("/s", &Reach { depth: 1, nodes, bytes });
    assert_eq!(reach(11, 2_000).unwrap().nodes.len(), 11);
    let error = reach(10, 2_000).unwrap_err().to_string();
    let says = "/s has more than 10 nodes within 1 levels: ask for fewer levels, or for a node below it";
    assert_eq!(error, says);
    let error = reach(11, 1_000).unwrap_err();
    assert!(matches!(error, NoSubtree::TooManyBytes { bytes: 1_000, .. }), "{error}");
    let one = zk.subtree("/s/1", &Reach { depth: 5, nodes: 1, bytes: 1 });
    assert_eq!(one.unwrap().nodes.len(), 1, "a node alone is always shown");
    let error = zk.subtree("/no", &Reach::default()).unwrap_err();
    assert_eq!(error, NoSubtree::NoNode { path: "/no".into() });
    let error = zk.subtree("no", &Reach::default()).unwrap_err();
    assert_eq!(error.to_string(), "\"no\" cannot name a node: path does not begin with \"/\"");
    let now = zk.last_zxid();
    zk.create("/later", "").await.unwrap();
    let error = zk.subtree_at(now, "/later", &Reach::default()).unwrap_err();
    assert_eq!(error, NoSubtree::NoNodeThen { path: "/later".into(), zxid: now });
    let error = zk.subtree_at(now.next().next(), "/later", &Reach::default()).unwrap_err();
    assert!(matches!(error, NoSubtree::NotKept(_)), "{error}");
}
