//! Figures of a server, and access by credentials, without a connection.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use zk_mini::{AccessError, Credentials, On, Then, ZkMini};
use zk_wire::{Acl, Perms};

use crate::raw::{EPHEMERAL, GET_DATA, Raw, get_data};

#[tokio::test]
async fn figures_are_those_of_the_four_letter_words() {
    let zk = ZkMini::builder().manual_clock().start().await.unwrap();
    let mut raw = Raw::tcp(&zk).await;
    raw.open_session(30_000).await;
    raw.request(1, 1, &crate::raw::create("/a", EPHEMERAL)).await;
    raw.request(2, GET_DATA, &get_data("/a", true)).await;
    zk.advance(Duration::from_millis(7)).await;
    let figures = zk.figures();
    assert_eq!(figures.server.uptime.0, 7);
    assert_eq!(
        (figures.server.sessions, figures.server.connections, figures.server.ephemeral_nodes),
        (1, 1, 1)
    );
    assert_eq!((figures.server.stats.received, figures.server.stats.handshakes), (3, 1));
    assert_eq!((figures.server.stats.reads.totals.count, figures.server.stats.updates.totals.count), (1, 2));
    assert_eq!(
        (figures.data_watches.connections, figures.data_watches.paths, figures.data_watches.watches),
        (1, 1, 1)
    );
    let namespace = &figures.namespaces[0];
    assert_eq!((&*namespace.name, namespace.read.map(|read| read.count)), ("a", Some(1)));
    assert_eq!(figures.configuration.listens, zk.addr());

    let connections = zk.connection_figures();
    assert_eq!((connections.len(), connections[0].stats.received, connections[0].stats.xid), (1, 3, Some(2)));
    let (session, timeout) = connections[0].session.unwrap();
    assert_eq!(timeout.0, 30_000);
    let expiry = zk.expiry_figures();
    assert_eq!((expiry.sessions[0].id, &*expiry.sessions[0].ephemerals[0]), (session, "/a"));
    let watches = zk.watch_figures();
    assert_eq!((&*watches.pairs[0].0, watches.sessions[&watches.pairs[0].1]), ("/a", session));
}

#[tokio::test]
async fn counters_are_reset_one_kind_at_a_time() {
    let zk = ZkMini::builder().in_memory().start().await.unwrap();
    let _raw = Raw::with_session(&zk, 4_000).await;
    zk.reset_connection_figures();
    assert_eq!((zk.connection_figures()[0].stats.received, zk.figures().server.stats.received), (0, 1));
    zk.reset_figures();
    assert_eq!(zk.figures().server.stats.received, 0);
    assert_eq!(zk.figures().trace_mask, 306);
    zk.set_trace_mask(5);
    assert_eq!(zk.figures().trace_mask, 5);
}

#[tokio::test]
async fn a_rule_that_is_gone_counts_as_fired() {
    let zk = ZkMini::builder().in_memory().start().await.unwrap();
    let fault = zk.fault(On::create("/a"), Then::fail(zk_wire::ErrorCode::NO_NODE));
    let mut raw = Raw::with_session(&zk, 4_000).await;
    raw.request(1, 1, &crate::raw::create("/a", 0)).await;
    let recorded = zk.figures().history.recorded;
    assert_eq!((zk.figures().faults.rules, zk.figures().faults.fired), (1, 1));
    drop(fault);
    assert_eq!((zk.figures().faults.rules, zk.figures().faults.fired), (0, 1));
    assert!(zk.figures().history.is_on && recorded > 0);
}

#[tokio::test]
async fn the_last_snapshot_of_a_data_directory_has_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let zk = ZkMini::builder().data_dir(dir.path()).start().await.unwrap();
    let disk = zk.disk_figures();
    assert!(disk.data.0.starts_with(dir.path()) && disk.data.1 > 0);
    assert!(disk.last_snapshot.is_some_and(|(_, written)| written.0 > 1_600_000_000_000));
    assert_eq!(ZkMini::builder().in_memory().start().await.unwrap().disk_figures().last_snapshot, None);
}

#[tokio::test]
async fn credentials_give_the_access_that_a_client_would_have() {
    let zk = ZkMini::builder().in_memory().start().await.unwrap();
    let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let digest = |secret| Credentials { scheme: "digest", secret };
    let may = |credentials, path, perms| zk.authorize(loopback, credentials, path, perms);
    assert_eq!(may(digest(Some(b"root:x")), "/", Perms::ALL), Ok(()), "anyone may");
    assert_eq!(may(digest(None), "/", Perms::ALL), Err(AccessError::NotAuthenticated));
    let nobody = Credentials { scheme: "world", secret: Some(b"anyone") };
    assert_eq!(may(nobody, "/", Perms::READ), Err(AccessError::NotAuthenticated));
    assert_eq!(may(digest(Some(b"root:x")), "/none", Perms::READ), Err(AccessError::NoNode));

    // The digest of user:password, as ZooKeeper's documentation has it.
    let id = "user:tpUq/4Pn5A64fVZyQ0gOJ8ZWqkY=";
    let acl = [(Perms::ALL, "digest", id), (Perms::READ, "ip", "127.0.0.1")];
    let acl = acl.map(|(perms, scheme, id)| Acl { perms, scheme: scheme.into(), id: id.into() });
    zk.create("/a", "").acl(&acl).await.unwrap();
    assert_eq!(may(digest(Some(b"user:other")), "/a", Perms::ALL), Err(AccessError::NotAuthorized));
    assert_eq!(may(digest(Some(b"user:other")), "/a", Perms::READ), Ok(()), "by its address");
    let ip = Credentials { scheme: "ip", secret: None };
    assert_eq!(may(ip, "/a", Perms::READ), Ok(()));
    let mapped = IpAddr::V6(Ipv4Addr::LOCALHOST.to_ipv6_mapped());
    assert_eq!(zk.authorize(mapped, ip, "/a", Perms::READ), Ok(()), "on a port for both families");
    assert_eq!(may(ip, "/a", Perms::READ | Perms::WRITE), Err(AccessError::NotAuthorized), "each is wanted");
}
