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
    assert_eq!((zk.get("/a"), zk.get("/c")), (None, None));
    assert_eq!(Snapshot::from_tree(&tree), Err(error));
    let error = zk.load(&TreeFile::parse("/t: {ttl_ms: 5}").unwrap()).await.unwrap_err();
    assert_eq!(error, WriteError::NoTtl { path: "/t".into() });
}

#[tokio::test]
async fn a_file_with_a_refused_node_changes_nothing() {
    let zk = in_memory().await;
    let mut raw = Raw::with_session(&zk, 10_000).await;
    raw.create("/m", EPHEMERAL).await;
    let before = (zk.last_zxid(), zk.tree_file());
    let error = zk.load(&TreeFile::parse("/a: {data: x}\n/m/child: {}").unwrap()).await.unwrap_err();
    assert!(matches!(&error, WriteError::EphemeralParent { parent, .. } if parent == "/m"), "{error}");
    assert_eq!((zk.last_zxid(), zk.tree_file()), before);
}

#[tokio::test]
async fn parents_that_are_not_in_the_file_are_open_to_all() {
    let zk = in_memory().await;
    zk.load(&TreeFile::parse("/a/b/key: {data: x, acl: [world:anyone:r]}").unwrap()).await.unwrap();
    assert_eq!((zk.acl("/a").unwrap(), zk.acl("/a/b").unwrap()), (vec![Acl::open()], vec![Acl::open()]));
    assert_eq!(zk.acl("/a/b/key").unwrap()[0].perms, Perms::READ);
}

#[tokio::test]
async fn a_server_begins_with_the_nodes_of_a_file_and_keeps_them() {
    let dir = tempfile::tempdir().unwrap();
    let serving = |text: &str| {
        let tree = TreeFile::parse(text).unwrap();
        ZkMini::builder().in_memory().data_dir(dir.path()).load(&tree).start()
    };
    let zk = serving("/a: {data: '1'}\n/b: {data: '1'}").await.unwrap();
    zk.set("/a", "2").await.unwrap();
    zk.create("/c", "2").await.unwrap();
    zk.stop().await;
    let zk = serving("/a: {data: '1'}").await.unwrap();
    let data = |path| zk.get(path).unwrap().0;
    assert_eq!((data("/a"), data("/b"), data("/c")), ("1".into(), "1".into(), "2".into()));
    zk.stop().await;
    // The directory is free again after a refusal.
    let error = serving("/lease: {ttl_ms: 10}").await.unwrap_err();
    assert!(matches!(error, zk_mini::Error::Load(WriteError::NoTtl { .. })), "{error}");
    let zk = ZkMini::builder().in_memory().data_dir(dir.path()).start().await.unwrap();
    assert_eq!((zk.get("/a").unwrap().0, zk.get("/lease")), ("1".into(), None));
}
