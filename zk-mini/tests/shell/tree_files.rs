//! Trees that are loaded from text, into a running server or as a snapshot.

use zk_mini::{NodeKind, Snapshot, TreeFile, WriteError, ZkMini};
use zk_wire::{Acl, Perms, Version};

use crate::raw::{EPHEMERAL, GET_DATA, Raw, get_data};

const TEXT: &str = "
/services/echo/a: {data: '127.0.0.1:8080'}
/config:
  base64: AAEC/w==
  acl: [world:anyone:r, digest:ops:abc=:cdrwa]
/empty:
/null: {data: null}
/queue: {kind: container}
/gone: {data: me, ephemeral_owner: 0x100000000000001}
";

async fn in_memory() -> ZkMini {
    ZkMini::builder().in_memory().manual_clock().start().await.unwrap()
}

#[tokio::test]
async fn a_file_is_written_into_the_tree_and_other_nodes_stay() {
    let zk = in_memory().await;
    zk.create("/other", "").await.unwrap();
    zk.create("/empty", "full").await.unwrap();
    let mut raw = Raw::with_session(&zk, 10_000).await;
    raw.request(1, GET_DATA, &get_data("/empty", true)).await;
    let loaded = zk.load(&TreeFile::parse(TEXT).unwrap()).await.unwrap();
    assert_eq!((loaded.written, &loaded.left_out[..]), (5, &["/gone".to_owned()][..]));
    assert_eq!(raw.reply().await.xid, -1, "watchers hear of it");
    assert_eq!(
        zk.children("/").unwrap(),
        ["config", "empty", "null", "other", "queue", "services", "zookeeper"]
    );
    assert_eq!(zk.get("/services/echo/a").unwrap().0, "127.0.0.1:8080");
    assert_eq!(zk.get("/config").unwrap().0, [0, 1, 2, 255][..]);
    let acl = [
        Acl { perms: Perms::READ, ..Acl::open() },
        Acl { perms: Perms::ALL, scheme: "digest".into(), id: "ops:abc=".into() },
    ];
    assert_eq!(zk.acl("/config").unwrap(), acl);
    let (data, stat) = zk.get("/empty").unwrap();
    assert_eq!((&data[..], stat.version), (&b""[..], Version(1)));
    let saved = zk.tree_file();
    assert_eq!((saved.nodes["/null"].data.as_ref(), saved.nodes["/queue"].kind), (None, NodeKind::Container));
    // Loading again changes nothing.
    let before = zk.last_zxid();
    zk.load(&TreeFile::parse(TEXT).unwrap()).await.unwrap();
    assert_eq!(zk.last_zxid(), before);
}

#[tokio::test]
async fn a_saved_tree_is_restored_from_its_text() {
    let zk = in_memory().await;
    let mut raw = Raw::with_session(&zk, 10_000).await;
    raw.create("/e", EPHEMERAL).await;
    zk.load(&TreeFile::parse(TEXT).unwrap()).await.unwrap();
    let text = zk.tree_file().to_yaml().unwrap();
    assert!(text.contains("ephemeral_owner"), "{text}");
    let other = in_memory().await;
    other.create("/junk", "").await.unwrap();
    other.restore(&Snapshot::from_tree(&TreeFile::parse(&text).unwrap()).unwrap()).await.unwrap();
    let mut expected = zk.tree_file();
    expected.nodes.remove("/e");
    assert_eq!(other.tree_file(), expected);
    assert!(other.sessions().is_empty());
}

#[tokio::test]
async fn a_node_that_no_server_takes_is_named() {
    let zk = in_memory().await;
    let tree = TreeFile::parse("/a: {}\n/b: {acl: ['auth::cdrwa']}\n/c: {}").unwrap();
    let error = zk.load(&tree).await.unwrap_err();
    assert_eq!(error, WriteError::InvalidAcl { path: "/b".into() });
    assert!(zk.get("/a").is_some() && zk.get("/c").is_none());
    assert_eq!(Snapshot::from_tree(&tree), Err(error));
    let error = zk.load(&TreeFile::parse("/t: {ttl_ms: 5}").unwrap()).await.unwrap_err();
    assert_eq!(error, WriteError::NoTtl { path: "/t".into() });
}
