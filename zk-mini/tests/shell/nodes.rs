//! Direct writes: without a session, and as clients see those of another client.

use std::time::Duration;

use zk_mini::storage::SimulatedDisk;
use zk_mini::{NodeKind, WriteError, ZkMini};
use zk_wire::{Acl, Perms, SessionId, Version, Zxid};

use crate::raw::{GET_DATA, PING, Raw, get_data, string};

async fn in_memory() -> ZkMini {
    ZkMini::builder().in_memory().manual_clock().extended_types(true).start().await.unwrap()
}

/// Reads a watch event: its zxid, its type and its path.
async fn event(raw: &mut Raw) -> (i64, i32, String) {
    let event = raw.reply().await;
    assert_eq!((event.xid, event.err), (-1, 0));
    let (kind, rest) = event.body.split_first_chunk().unwrap();
    let path = String::from_utf8(rest[8..].to_vec()).unwrap();
    (event.zxid, i32::from_be_bytes(*kind), path)
}

#[tokio::test]
async fn a_watcher_hears_of_a_direct_write_as_of_any_other() {
    let zk = in_memory().await;
    let mut raw = Raw::with_session(&zk, 10_000).await;
    let before = zk.last_zxid();
    zk.create("/a", "1").await.unwrap();
    assert_eq!(raw.request(1, GET_DATA, &get_data("/a", true)).await.err, 0);
    let set = zk.set("/a", "2").await.unwrap();
    assert_eq!((set.stat.version, set.stat.mzxid), (Version(1), Zxid(before.0 + 2)));
    assert_eq!(event(&mut raw).await, (before.0 + 2, 3, "/a".into()));
    raw.request(2, 8, &[string("/"), vec![1]].concat()).await;
    raw.request(3, GET_DATA, &get_data("/a", true)).await;
    zk.delete("/a").await.unwrap();
    assert_eq!(event(&mut raw).await, (before.0 + 3, 2, "/a".into()));
    assert_eq!(event(&mut raw).await, (before.0 + 3, 4, "/".into()));
}

#[tokio::test]
async fn an_ephemeral_node_goes_with_the_session_that_it_was_created_for() {
    let zk = in_memory().await;
    let _raw = Raw::with_session(&zk, 4_000).await;
    let owner = zk.sessions()[0].id;
    let node = zk.create("/e-", "").ephemeral(owner).sequential().await.unwrap();
    assert_eq!((&*node.path, node.stat.ephemeral_owner), ("/e-0000000000", owner));
    assert_eq!(zk.sessions()[0].ephemerals, ["/e-0000000000"]);
    zk.advance(Duration::from_secs(10)).await;
    assert!(zk.get("/e-0000000000").is_none());
    let error = zk.create("/e", "").ephemeral(owner).await.unwrap_err();
    assert_eq!(error, WriteError::NoSession { path: "/e".into(), session: owner });
    let error = zk.create("/e", "").ephemeral(SessionId::NONE).await.unwrap_err();
    assert!(matches!(error, WriteError::NoSession { .. }), "{error}");
}

#[tokio::test]
async fn parents_are_made_in_the_transaction_of_the_node() {
    let zk = in_memory().await;
    let own = [Acl { perms: Perms::READ, ..Acl::open() }];
    let node = zk.create("/a/b/c", "x").parents().acl(&own).await.unwrap();
    assert_eq!(zk.last_zxid(), node.stat.czxid);
    for path in ["/a", "/a/b", "/a/b/c"] {
        assert_eq!(zk.get(path).unwrap().1.czxid, node.stat.czxid);
        assert_eq!(zk.acl(path).unwrap(), own);
    }
    assert_eq!(zk.create("/a/b/d", "").parents().await.unwrap().stat.czxid, node.stat.czxid.next());
    assert_eq!(zk.get("/a/b").unwrap().1.num_children, 2);
}

#[tokio::test]
async fn a_node_that_is_set_stays_with_its_owner() {
    let zk = in_memory().await;
    let _raw = Raw::with_session(&zk, 4_000).await;
    let owner = zk.sessions()[0].id;
    zk.create("/plain", "").await.unwrap();
    let path = String::from("/plain");
    let error = zk.create("/plain", "x").or_set().ephemeral(owner).await.unwrap_err();
    assert_eq!(error, WriteError::OtherOwner { path: path.clone(), session: owner });
    let stranger = SessionId(7);
    let error = zk.create("/plain", "x").or_set().ephemeral(stranger).await.unwrap_err();
    assert_eq!(error, WriteError::NoSession { path, session: stranger });
    assert_eq!(zk.get("/plain").unwrap().0, "", "nothing is written");
    assert!(zk.create("/e", "1").or_set().ephemeral(owner).await.unwrap().created);
    assert!(!zk.create("/e", "2").or_set().ephemeral(owner).await.unwrap().created);
    assert!(!zk.create("/e", "3").or_set().await.unwrap().created);
    assert_eq!(zk.get("/e").unwrap().1.ephemeral_owner, owner);
}

#[tokio::test]
async fn the_options_make_every_kind_of_node() {
    let zk = in_memory().await;
    zk.create("/c", "").container().await.unwrap();
    zk.create("/c/child", "").await.unwrap();
    zk.create("/t", "").ttl(Duration::from_millis(5)).await.unwrap();
    let again = zk.create("/t", "new").or_set().await.unwrap();
    assert_eq!((again.created, again.stat.version), (false, Version(1)));
    assert!(zk.create("/p", "new").or_set().await.unwrap().created);
    zk.delete("/c/child").await.unwrap();
    zk.advance(Duration::from_secs(120)).await;
    assert_eq!(zk.children("/").unwrap(), ["p", "zookeeper"]);
    let ttl = NodeKind::MAX_TTL.0 + 1;
    let error = zk.create("/t", "").ttl(Duration::from_millis(ttl)).await.unwrap_err();
    assert!(error.to_string().contains("at most 1099511627775"), "{error}");
}

#[tokio::test]
async fn a_refused_write_says_what_to_do_and_takes_no_zxid() {
    let zk = in_memory().await;
    let owner = {
        let _raw = Raw::with_session(&zk, 40_000).await;
        zk.sessions()[0].id
    };
    zk.create("/a", "").await.unwrap();
    zk.create("/a/b", "").ephemeral(owner).await.unwrap();
    zk.create("/a/c", "").await.unwrap();
    let before = zk.last_zxid();
    let big = vec![0; 3 << 20];
    let errors = [
        zk.create("/x/y", "").await.unwrap_err(),
        zk.create("/a", "").await.unwrap_err(),
        zk.create("/a/b/x", "").await.unwrap_err(),
        zk.create("/a/b/x/y", "").parents().await.unwrap_err(),
        zk.create("a", "").await.unwrap_err(),
        zk.create("", "").parents().await.unwrap_err(),
        zk.create("/a//b", "").parents().await.unwrap_err(),
        zk.create("/big", big.clone()).await.unwrap_err(),
        zk.create("/big/big", big).parents().await.unwrap_err(),
        zk.create("/q", "").acl(&[]).await.unwrap_err(),
        zk.create("/q", "").container().sequential().await.unwrap_err(),
        zk.create("/zookeeper/quota/zookeeper_limits", "").await.unwrap_err(),
        zk.set("/x", "").await.unwrap_err(),
        zk.set("/a", "").version(Version(3)).await.unwrap_err(),
        zk.set_acl("/a", &[Acl { scheme: "auth".into(), ..Acl::open() }]).await.unwrap_err(),
        zk.delete("/a").await.unwrap_err(),
        zk.delete("/x").await.unwrap_err(),
        zk.delete("/").await.unwrap_err(),
        zk.delete("/zookeeper").await.unwrap_err(),
        zk.delete_recursive("/x").await.unwrap_err(),
        zk.delete_recursive("").await.unwrap_err(),
    ];
    let texts: Vec<_> = errors.iter().map(ToString::to_string).collect();
    let says = [
        "parent /x does not exist",
        "/a exists",
        "parent /a/b is ephemeral",
        "/a/b/x cannot be created: its parent /a/b is ephemeral",
        "does not begin with",
        "path is empty",
        "empty component",
        "longer than",
        "longer than",
        "at least one entry",
        "sequential container",
        "quota on the root",
        "/x does not exist",
        "/a is at version 0, not 3",
        "`auth` needs a client",
        "/a has 2 children",
        "/x does not exist",
        "node of the system",
        "node of the system",
        "/x does not exist",
        "path is empty",
    ];
    for (text, says) in texts.iter().zip(says) {
        assert!(text.contains(says), "{text:?} does not say {says:?}");
    }
    assert_eq!(zk.last_zxid(), before);
    zk.stop().await;
}

#[tokio::test]
async fn a_tree_goes_in_one_transaction_and_a_long_one_in_several() {
    let zk = in_memory().await;
    for n in 0..50 {
        zk.create(&format!("/t/{n}/x/y"), "").parents().await.unwrap();
    }
    let before = zk.last_zxid();
    assert_eq!(zk.delete_recursive("/t").await.unwrap(), 151);
    assert_eq!(zk.last_zxid(), before.next());
    let name = "n".repeat(1_000);
    for n in 0..4_000 {
        zk.create(&format!("/t/{name}{n}"), "").parents().await.unwrap();
    }
    let before = zk.last_zxid();
    assert_eq!(zk.delete_recursive("/").await.unwrap(), 4_001);
    assert_eq!(zk.last_zxid(), Zxid(before.0 + 2));
    assert_eq!(zk.children("/").unwrap(), ["zookeeper"]);
}

#[tokio::test]
async fn a_node_that_is_removed_leaves_its_last_stat_and_the_system_stays() {
    let zk = in_memory().await;
    zk.create("/a/b/c", "").parents().await.unwrap();
    zk.set("/a", "data").await.unwrap();
    let stat = zk.get("/a").unwrap().1;
    let error = zk.remove("/a", false).await.unwrap_err();
    assert_eq!(error, WriteError::NotEmpty { path: "/a".into(), children: 1 });
    let removed = zk.remove("/a", true).await.unwrap();
    assert_eq!((removed.stat, removed.nodes), (stat, 3));
    let error = zk.remove("/a", true).await.unwrap_err();
    assert_eq!(error, WriteError::NoNode { path: "/a".into() });
    zk.create("/b", "").await.unwrap();
    for path in ["/", "/zookeeper", "/zookeeper/config"] {
        for recursive in [false, true] {
            let error = zk.remove(path, recursive).await.unwrap_err();
            assert_eq!(error, WriteError::SystemNode { path: path.into() });
        }
    }
    assert_eq!(zk.remove("/b", false).await.unwrap().nodes, 1);
}

#[tokio::test]
async fn a_write_returns_when_it_is_durable() {
    let disk = SimulatedDisk::new(1);
    let start = || ZkMini::builder().in_memory().data_dir("/data").disk(&disk).start();
    let zk = start().await.unwrap();
    zk.create("/a/b", "1").parents().await.unwrap();
    zk.create("/a/c", "2").await.unwrap();
    zk.set("/a/b", "3").await.unwrap();
    zk.delete("/a/c").await.unwrap();
    disk.lose_power();
    drop(zk);
    disk.restore_power();
    let zk = start().await.unwrap();
    assert_eq!(zk.children("/a").unwrap(), ["b"]);
    assert_eq!(zk.get("/a/b").unwrap().0, "3");
}

#[tokio::test]
async fn a_write_that_the_disk_does_not_take_says_so() {
    let disk = SimulatedDisk::new(1);
    let zk = ZkMini::builder().in_memory().data_dir("/data").disk(&disk).start().await.unwrap();
    zk.create("/a", "").await.unwrap();
    disk.set_full(true);
    let error = zk.create("/b", "").await.unwrap_err();
    assert_eq!(error, WriteError::NotDurable { path: "/b".into() });
    let error = zk.create("/b", "").await.unwrap_err();
    assert_eq!(error, WriteError::ReadOnly { path: "/b".into() });
    assert_eq!(zk.children("/").unwrap(), ["a", "zookeeper"]);
}

#[tokio::test]
async fn writes_do_not_starve_behind_clients_that_write_without_end() {
    let disk = SimulatedDisk::new(1);
    let zk = ZkMini::builder().in_memory().data_dir("/data").disk(&disk).start().await.unwrap();
    let mut busy = Raw::with_session(&zk, 10_000).await;
    let writes = async {
        loop {
            busy.create("/busy", 2).await;
        }
    };
    let direct = async {
        for n in 0..50 {
            zk.create(&format!("/{n}"), "").await.unwrap();
        }
    };
    tokio::select! {
        () = writes => {}
        () = crate::raw::within(direct) => {}
    }
}

#[tokio::test]
async fn a_handle_of_a_stopped_server_writes_nothing() {
    let zk = in_memory().await;
    let handle = zk.clone();
    zk.stop().await;
    let error = handle.create("/a", "").await.unwrap_err();
    assert_eq!(error, WriteError::Stopped { path: "/a".into() });
}

#[tokio::test]
async fn a_write_waits_for_no_peer_that_does_not_read() {
    let zk = in_memory().await;
    let mut deaf = Raw::with_session(&zk, 10_000).await;
    for xid in 0..2_000 {
        deaf.send(&crate::raw::request(xid, GET_DATA, &get_data("/", true))).await;
    }
    deaf.send(&crate::raw::request(-2, PING, &[])).await;
    crate::raw::within(async { zk.set("/", "x").await }).await.unwrap();
}
