//! Inspection of a server without a client, by `ZkMini::direct`.

use zk_mini::ZkMini;
use zk_mini::core::WatchKind;

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
