//! Restarts, resets and restores: no client is stuck afterwards.

use std::io::ErrorKind;
use std::num::NonZeroU64;
use std::time::Duration;

use zk_mini::storage::SimulatedDisk;
use zk_mini::{Builder, Jump, RestoreError, SyncMode, ZkMini};
use zk_wire::{SessionId, Zxid};

use crate::raw::{EPHEMERAL, GET_DATA, Raw, eventually, get_data, resume_request, string, within};

const SET_WATCHES2: i32 = 105;
const EXISTS: i32 = 3;
const GET_CHILDREN: i32 = 8;

/// Event types.
const CREATED: i32 = 1;
const DELETED: i32 = 2;
const CHANGED: i32 = 3;
const CHILDREN: i32 = 4;

fn on(disk: &SimulatedDisk) -> Builder {
    ZkMini::builder().in_memory().data_dir("/data").disk(disk)
}

/// Returns the servers to test: with and without sockets, and with a data directory.
async fn servers() -> Vec<ZkMini> {
    let disk = SimulatedDisk::new(1);
    vec![
        ZkMini::start().await.unwrap(),
        ZkMini::builder().in_memory().start().await.unwrap(),
        ZkMini::builder().in_memory().manual_clock().seed(3).start().await.unwrap(),
        on(&disk).start().await.unwrap(),
    ]
}

async fn connect(zk: &ZkMini) -> Raw {
    if zk.addr().is_some() { Raw::tcp(zk).await } else { Raw::in_memory(zk) }
}

fn id_of(answered: &[u8]) -> SessionId {
    SessionId(i64::from_be_bytes(answered[8..16].try_into().unwrap()))
}

/// Returns a handshake for the session that a handshake has `answered`, of a client that has seen this zxid.
fn resume_at(answered: &[u8], seen: i64) -> Vec<u8> {
    let mut request = resume_request(answered);
    request[4..12].copy_from_slice(&seen.to_be_bytes());
    request
}

fn paths(paths: &[&str]) -> Vec<u8> {
    let texts: Vec<u8> = paths.iter().flat_map(|path| string(path)).collect();
    [&u32::try_from(paths.len()).unwrap().to_be_bytes()[..], &texts].concat()
}

/// Data, exist, child, persistent and recursive watches.
fn set_watches(relative: i64, watches: [&[&str]; 5]) -> Vec<u8> {
    let lists: Vec<u8> = watches.iter().flat_map(|list| paths(list)).collect();
    [&relative.to_be_bytes()[..], &lists].concat()
}

/// Returns the event of a frame: its type and path.
fn event_of(body: &[u8]) -> (i32, String) {
    let (kind, rest) = body.split_first_chunk().unwrap();
    (i32::from_be_bytes(*kind), String::from_utf8(rest[8..].to_vec()).unwrap())
}

/// Sends a setWatches2, and returns the events before its reply.
async fn watch_again(raw: &mut Raw, relative: i64, watches: [&[&str]; 5]) -> Vec<(i32, String)> {
    raw.send(&crate::raw::request(-8, SET_WATCHES2, &set_watches(relative, watches))).await;
    let mut events = Vec::new();
    loop {
        let reply = raw.reply().await;
        assert_eq!(reply.err, 0);
        match reply.xid {
            -1 => events.push(event_of(&reply.body)),
            -8 => {
                assert!(reply.zxid > relative, "zxids go on");
                return events;
            }
            xid => panic!("a reply to {xid}"),
        }
    }
}

#[tokio::test]
async fn a_restart_keeps_sessions_and_data_and_closes_all_connections() {
    for zk in servers().await {
        let mut raw = connect(&zk).await;
        let mut silent = connect(&zk).await;
        let answered = raw.open_session(10_000).await;
        let created = raw.create("/e", EPHEMERAL).await;
        zk.restart().await;
        assert!(zk.connections().is_empty());
        assert_eq!((raw.receive().await, silent.receive().await), (None, None));
        let mut raw = connect(&zk).await;
        raw.send(&resume_at(&answered, created.zxid)).await;
        assert_eq!(raw.receive().await.unwrap(), answered);
        let read = raw.request(1, GET_DATA, &get_data("/e", false)).await;
        assert_eq!((read.err, read.zxid), (0, created.zxid), "a restart changes nothing");
        zk.stop().await;
    }
}

#[tokio::test]
async fn after_a_restart_sessions_have_their_full_timeout_of_creation() {
    let zk = ZkMini::builder().in_memory().manual_clock().start().await.unwrap();
    let _raw = Raw::with_session(&zk, 8_000).await;
    zk.advance(Duration::from_secs(5)).await;
    zk.restart().await;
    zk.advance(Duration::from_secs(7)).await;
    assert_eq!(zk.sessions().len(), 1);
    zk.advance(Duration::from_secs(3)).await;
    assert!(zk.sessions().is_empty());
}

#[tokio::test]
async fn a_reset_tells_every_client_that_its_session_has_expired() {
    for zk in servers().await {
        let mut raw = connect(&zk).await;
        let answered = raw.open_session(10_000).await;
        let created = raw.create("/a", 0).await;
        within(zk.reset()).await.unwrap();
        assert_eq!(zk.children("/").unwrap(), ["zookeeper"]);
        assert!(zk.sessions().is_empty() && zk.connections().is_empty());
        let mut raw = connect(&zk).await;
        raw.send(&resume_at(&answered, created.zxid)).await;
        assert_eq!(id_of(&raw.receive().await.unwrap()), SessionId::NONE);
        assert_eq!(raw.receive().await, None);
        // The client goes on with a new session: its id is new, and so are the zxids.
        let mut raw = connect(&zk).await;
        let mut request = crate::raw::connect_request(10_000);
        request[4..12].copy_from_slice(&created.zxid.to_be_bytes());
        raw.send(&request).await;
        assert_ne!(id_of(&raw.receive().await.unwrap()), id_of(&answered));
        assert!(raw.create("/a", 0).await.zxid > created.zxid);
        zk.stop().await;
    }
}

#[tokio::test]
async fn a_restore_revives_the_sessions_of_the_snapshot_and_ends_all_others() {
    for zk in servers().await {
        let mut old = connect(&zk).await;
        let kept = old.open_session(10_000).await;
        old.create("/kept", EPHEMERAL).await;
        let snapshot = zk.snapshot();
        let mut ended = connect(&zk).await;
        let later = ended.open_session(10_000).await;
        ended.create("/later", EPHEMERAL).await;
        old.request(9, -11, &[]).await;
        assert_eq!(zk.children("/").unwrap(), ["later", "zookeeper"]);
        let seen = zk.last_zxid().0;
        within(zk.restore(&snapshot)).await.unwrap();
        assert_eq!(zk.children("/").unwrap(), ["kept", "zookeeper"]);
        for (answered, is_alive) in [(&kept, true), (&later, false)] {
            let mut raw = connect(&zk).await;
            raw.send(&resume_at(answered, seen)).await;
            let id = id_of(&raw.receive().await.unwrap());
            assert_eq!(id, if is_alive { id_of(answered) } else { SessionId::NONE });
        }
        let mut new = connect(&zk).await;
        let id = id_of(&new.open_session(10_000).await);
        assert!(![&kept, &later].map(|answered| id_of(answered)).contains(&id));
        zk.stop().await;
    }
}

#[tokio::test]
async fn watches_that_are_set_again_after_a_restore_hear_of_everything_that_may_have_changed() {
    for zk in servers().await {
        let mut raw = connect(&zk).await;
        let answered = raw.open_session(10_000).await;
        for path in ["/same", "/changed", "/gone", "/parent", "/parent/gone"] {
            zk.create(path, "1").await.unwrap();
        }
        let snapshot = zk.snapshot();
        zk.set("/changed", "2").await.unwrap();
        zk.delete_recursive("/gone").await.unwrap();
        zk.delete("/parent/gone").await.unwrap();
        zk.create("/new", "").await.unwrap();
        let seen = raw.request(1, GET_DATA, &get_data("/changed", true)).await.zxid;
        for path in ["/new", "/same"] {
            assert_eq!(raw.request(2, GET_DATA, &get_data(path, true)).await.err, 0);
        }
        raw.request(3, EXISTS, &get_data("/gone", true)).await;
        raw.request(4, EXISTS, &get_data("/never", true)).await;
        raw.request(5, GET_CHILDREN, &get_data("/parent", true)).await;
        zk.restore(&snapshot).await.unwrap();
        assert_eq!(raw.receive().await, None);
        let mut raw = connect(&zk).await;
        raw.send(&resume_at(&answered, seen)).await;
        assert_eq!(raw.receive().await.unwrap(), answered);
        let watches: [&[&str]; 5] = [
            &["/changed", "/new", "/same"],
            &["/gone", "/never"],
            &["/parent", "/new"],
            &["/parent"],
            &["/same", "/new"],
        ];
        let events = watch_again(&mut raw, seen, watches).await;
        let heard: Vec<_> = events.iter().map(|(kind, path)| (*kind, &**path)).collect();
        let expected = [
            (CHANGED, "/changed"),
            (DELETED, "/new"),
            (CHANGED, "/same"),
            (CREATED, "/gone"),
            (CHILDREN, "/parent"),
            (DELETED, "/new"),
            (CHANGED, "/parent"),
            (CHILDREN, "/parent"),
            (CHANGED, "/same"),
            (DELETED, "/new"),
        ];
        assert_eq!(heard, expected);
        // Once told, a client hears of changes only.
        let seen = zk.last_zxid().0;
        zk.create("/never", "").await.unwrap();
        let event = raw.reply().await;
        assert_eq!(event_of(&event.body), (CREATED, "/never".into()));
        zk.restart().await;
        let mut raw = connect(&zk).await;
        raw.send(&resume_at(&answered, seen)).await;
        raw.receive().await.unwrap();
        let nothing: &[&str] = &[];
        let again = [&["/same"][..], &[], &["/parent"], &["/same"], nothing];
        assert_eq!(watch_again(&mut raw, seen, again).await, []);
        zk.stop().await;
    }
}

#[tokio::test]
async fn zxids_lie_above_those_of_any_server_that_a_snapshot_comes_from() {
    let other = ZkMini::builder().in_memory().start().await.unwrap();
    other.create("/a", "").await.unwrap();
    let zk = ZkMini::builder().in_memory().seed(1).start().await.unwrap();
    assert_eq!(zk.last_zxid(), Zxid(0));
    zk.restore(&other.snapshot()).await.unwrap();
    assert!(zk.last_zxid() > other.last_zxid());
    assert_eq!(zk.get("/a").unwrap().1, other.get("/a").unwrap().1);
}

#[tokio::test]
async fn a_restored_state_is_durable_when_restore_returns() {
    for seed in 0..10 {
        let disk = SimulatedDisk::new(seed);
        let zk = on(&disk).start().await.unwrap();
        let mut raw = Raw::with_session(&zk, 10_000).await;
        raw.create("/e", EPHEMERAL).await;
        zk.create("/a", "1").await.unwrap();
        let snapshot = zk.snapshot();
        zk.set("/a", "2").await.unwrap();
        zk.create("/b", "").await.unwrap();
        if seed % 2 == 0 {
            zk.reset().await.unwrap();
            zk.create("/c", "").await.unwrap();
        }
        zk.restore(&snapshot).await.unwrap();
        let (last, stat) = (zk.last_zxid(), zk.get("/a").unwrap().1);
        disk.lose_power();
        drop(zk);
        disk.restore_power();
        let zk = on(&disk).start().await.unwrap();
        assert_eq!((zk.last_zxid(), zk.sessions().len()), (last, 1));
        assert_eq!(zk.children("/").unwrap(), ["a", "e", "zookeeper"]);
        assert_eq!(zk.get("/a").unwrap(), ("1".into(), stat));
        zk.create("/b", "").await.unwrap();
        drop(zk.snapshot());
        zk.stop().await;
        let zk = on(&disk).start().await.unwrap();
        assert_eq!(zk.children("/").unwrap(), ["a", "b", "e", "zookeeper"]);
    }
}

#[tokio::test]
async fn a_restore_that_the_disk_does_not_take_leaves_the_former_state() {
    let disk = SimulatedDisk::new(7);
    let zk = on(&disk).start().await.unwrap();
    let empty = zk.snapshot();
    zk.create("/a", "").await.unwrap();
    disk.set_full(true);
    let error = within(zk.restore(&empty)).await.unwrap_err();
    assert!(matches!(error, RestoreError::NotDurable), "{error}");
    assert!(zk.get("/a").is_some());
    let error = within(zk.reset()).await.unwrap_err();
    assert!(matches!(error, RestoreError::ReadOnly), "{error}");
    let error = within(zk.restart_losing_unsynced()).await.unwrap_err();
    assert!(matches!(error, RestoreError::ReadOnly), "{error}");
    within(zk.restart()).await;
    disk.set_full(false);
    eventually_writable(&zk).await;
    within(zk.restore(&empty)).await.unwrap();
    assert!(zk.get("/a").is_none());
}

async fn eventually_writable(zk: &ZkMini) {
    let written = async {
        while zk.create("/w", "").or_set().await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    within(written).await;
}

#[tokio::test]
async fn what_was_not_synced_is_lost_and_zxids_go_on() {
    let disk = SimulatedDisk::new(2);
    let zk = on(&disk).sync(SyncMode::None).start().await.unwrap();
    let mut raw = Raw::with_session(&zk, 10_000).await;
    let created = raw.create("/lost", 0).await;
    assert_eq!(created.err, 0);
    within(zk.restart_losing_unsynced()).await.unwrap();
    assert_eq!(raw.receive().await, None);
    assert_eq!(zk.children("/").unwrap(), ["zookeeper"]);
    assert!(zk.sessions().is_empty() && zk.last_zxid().0 > created.zxid);
    zk.create("/new", "").await.unwrap();
    let last = zk.last_zxid();
    zk.stop().await;
    let zk = on(&disk).start().await.unwrap();
    assert_eq!((zk.children("/").unwrap(), zk.last_zxid()), (vec!["new".into(), "zookeeper".into()], last));
    // With syncs, answered writes stay.
    zk.create("/kept", "").await.unwrap();
    within(zk.restart_losing_unsynced()).await.unwrap();
    assert!(zk.get("/kept").is_some() && zk.last_zxid() > last);
}

#[tokio::test]
async fn several_losses_at_once_come_one_after_another() {
    let disk = SimulatedDisk::new(3);
    let zk = on(&disk).start().await.unwrap();
    zk.create("/kept", "").await.unwrap();
    let lose = || within(zk.restart_losing_unsynced());
    let (a, b, c) = tokio::join!(lose(), lose(), lose());
    for lost in [a, b, c] {
        lost.unwrap();
    }
    assert!(zk.get("/kept").is_some());
    zk.create("/new", "").await.unwrap();
}

#[tokio::test]
async fn what_a_snapshot_has_synced_is_not_lost() {
    let disk = SimulatedDisk::new(2);
    let zk = on(&disk).sync(SyncMode::None).snap_count(NonZeroU64::new(5).unwrap()).start().await.unwrap();
    for n in 0..40 {
        zk.create(&format!("/{n:02}"), "").await.unwrap();
        if n % 7 == 0 {
            eventually("snapshots are written", || {
                let newest = disk.files().into_iter().filter_map(|file| {
                    let name = file.file_name()?.to_str()?;
                    i64::from_str_radix(name.strip_prefix("snapshot.")?, 16).ok()
                });
                zk.last_zxid().0 - newest.max().unwrap_or(0) < 8
            })
            .await;
            let before = zk.children("/").unwrap();
            within(zk.restart_losing_unsynced()).await.unwrap();
            let after = zk.children("/").unwrap();
            assert!(before.len() - after.len() < 10, "{before:?} {after:?}");
        }
    }
}

#[tokio::test]
async fn a_restart_closes_frozen_connections_and_those_that_do_not_read() {
    let zk = ZkMini::builder().in_memory().start().await.unwrap();
    let mut frozen = Raw::with_session(&zk, 10_000).await;
    let mut deaf = Raw::with_session(&zk, 10_000).await;
    for xid in 0..3_000 {
        deaf.send(&crate::raw::request(xid, GET_DATA, &get_data("/", false))).await;
    }
    frozen.send(&crate::raw::request(1, GET_DATA, &get_data("/", false))).await;
    within(zk.restart()).await;
    assert!(zk.connections().is_empty());
    assert_eq!(zk.sessions().len(), 2);
    frozen.rest().await;
}

#[tokio::test]
async fn a_stopped_server_is_not_restarted() {
    let zk = ZkMini::builder().in_memory().start().await.unwrap();
    let (handle, snapshot) = (zk.clone(), zk.snapshot());
    zk.stop().await;
    handle.restart().await;
    assert!(matches!(handle.reset().await, Err(RestoreError::Stopped)));
    assert!(matches!(handle.restore(&snapshot).await, Err(RestoreError::Stopped)));
    assert_eq!(handle.connector().connect().unwrap_err().kind(), ErrorKind::ConnectionRefused);
}

#[tokio::test]
async fn a_server_that_is_down_refuses_connections_and_comes_back_on_its_port() {
    let zk = ZkMini::start().await.unwrap();
    let addr = zk.addr().unwrap();
    let mut raw = Raw::tcp(&zk).await;
    let answered = raw.open_session(4_000).await;
    raw.create("/e", EPHEMERAL).await;
    let refuses = || async { tokio::net::TcpStream::connect(addr).await.unwrap_err().kind() };
    for _ in 0..3 {
        within(zk.take_down()).await;
        zk.take_down().await;
        assert!(zk.is_down() && zk.connections().is_empty());
        assert_eq!(refuses().await, ErrorKind::ConnectionRefused);
        assert_eq!(zk.connector().connect().unwrap_err().kind(), ErrorKind::ConnectionRefused);
        assert_eq!(Raw::in_memory(&zk).receive().await, None);
        // The port is ours: nobody who lets the system choose gets it.
        let others: Vec<_> =
            (0..50).map(|_| std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap()).collect();
        assert!(others.iter().all(|other| other.local_addr().unwrap() != addr));
        zk.set("/e", "while down").await.unwrap();
        zk.bring_up().await.unwrap();
        zk.bring_up().await.unwrap();
        let mut raw = Raw::tcp(&zk).await;
        raw.send(&resume_request(&answered)).await;
        assert_eq!(raw.receive().await.unwrap(), answered);
        assert_eq!(raw.request(1, GET_DATA, &get_data("/e", false)).await.err, 0);
    }
    zk.take_down().await;
    zk.stop().await;
    std::net::TcpListener::bind(addr).unwrap();
}

#[tokio::test]
async fn reset_all_brings_a_server_up_and_undoes_jumps_of_its_clock() {
    for manual in [false, true] {
        let builder = if manual { ZkMini::builder().manual_clock() } else { ZkMini::builder() };
        let zk = builder.start().await.unwrap();
        let before = zk.now().wall.0;
        zk.take_down().await;
        zk.jump_wall_clock(Jump::Back(Duration::from_secs(3_600)));
        zk.reset_all().await.unwrap();
        assert!(!zk.is_down() && zk.now().wall.0 >= before);
        Raw::tcp(&zk).await.open_session(4_000).await;
    }
}

#[tokio::test]
async fn nothing_expires_while_a_server_is_down() {
    let zk = ZkMini::builder().in_memory().manual_clock().start().await.unwrap();
    let _raw = Raw::with_session(&zk, 4_000).await;
    zk.advance(Duration::from_secs(3)).await;
    zk.take_down().await;
    zk.advance(Duration::from_secs(300)).await;
    assert_eq!(zk.sessions().len(), 1);
    zk.bring_up().await.unwrap();
    zk.advance(Duration::from_secs(3)).await;
    assert_eq!(zk.sessions().len(), 1, "it has its full timeout");
    zk.advance(Duration::from_secs(3)).await;
    assert!(zk.sessions().is_empty());
}

#[tokio::test]
async fn a_server_on_a_port_that_was_taken_meanwhile_stays_down_and_says_so() {
    let zk = ZkMini::start().await.unwrap();
    let addr = zk.addr().unwrap();
    zk.take_down().await;
    // A server may share the port with a socket that does not listen.
    let thief = std::net::TcpListener::bind(addr).unwrap();
    let error = zk.bring_up().await.unwrap_err();
    assert!(error.to_string().contains("in use"), "{error}");
    assert!(zk.is_down());
    drop(thief);
    zk.bring_up().await.unwrap();
    Raw::tcp(&zk).await.open_session(4_000).await;
}

#[tokio::test]
async fn the_handle_of_a_stopped_server_waits_for_no_disk() {
    let disk = SimulatedDisk::new(1);
    let zk = on(&disk).manual_clock().start().await.unwrap();
    let _raw = Raw::with_session(&zk, 4_000).await;
    let handle = zk.clone();
    within(zk.stop()).await;
    within(handle.advance(Duration::from_secs(60))).await;
    within(handle.thaw()).await;
    within(handle.hold_clock()).await;
    assert!(matches!(within(handle.restart_losing_unsynced()).await, Err(RestoreError::Stopped)));
}
