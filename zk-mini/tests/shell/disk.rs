//! A server with a disk that is full, fails, or cannot be written.

use std::collections::VecDeque;
use std::num::{NonZeroU64, NonZeroUsize};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use zk_mini::ZkMini;
use zk_mini::core::{Config, Core};
use zk_mini::storage::{SimulatedDisk, StorageError, SyncMode};

use crate::raw::{
    CREATE, GET_DATA, PATIENCE, Raw, Reply, SET_DATA, create, eventually, frame, get_data, request, set_data,
};

const NOT_READ_ONLY: i32 = -119;
const NO_NODE: i32 = -101;

/// So few nodes that a snapshot of a small tree takes several steps, with writes between them.
const STEP: NonZeroUsize = NonZeroUsize::new(3).unwrap();

async fn start(disk: &SimulatedDisk) -> ZkMini {
    let block = NonZeroU64::new(4096).unwrap();
    let builder = ZkMini::builder().in_memory().seed(7).manual_clock();
    builder.data_dir("/data").disk(disk).pre_alloc_size(block).start().await.unwrap()
}

async fn get(raw: &mut Raw, path: &str) -> Reply {
    raw.request(1, GET_DATA, &get_data(path, false)).await
}

/// Creates a node as soon as the server takes writes. Returns the number of refusals before.
async fn create_at_last(raw: &mut Raw, path: &str) -> u32 {
    for refused in 0.. {
        match raw.create(path, 0).await.err {
            0 => return refused,
            code => assert_eq!(code, NOT_READ_ONLY),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(Duration::from_millis(100) * refused < PATIENCE, "writes are refused for ever");
    }
    unreachable!()
}

/// Opens a session as soon as the server takes one. The clock of the test goes by itself meanwhile.
pub(crate) async fn session_at_last(zk: &ZkMini) -> Raw {
    loop {
        let mut raw = Raw::in_memory(zk);
        raw.send(&crate::raw::connect_request(10_000)).await;
        if raw.receive().await.is_some() {
            return raw;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

type Fault = fn(&SimulatedDisk, bool);
const FAULTS: [Fault; 3] =
    [SimulatedDisk::set_full, SimulatedDisk::set_failing_syncs, SimulatedDisk::set_read_only];

#[tokio::test(start_paused = true)]
async fn a_failing_disk_costs_only_writes_that_were_not_acknowledged() {
    for fault in FAULTS {
        let disk = SimulatedDisk::new(1);
        let zk = start(&disk).await;
        let mut raw = Raw::in_memory(&zk);
        let session = raw.open_session(10_000).await;
        assert_eq!(raw.create("/kept", 1).await.err, 0);
        let mut other = Raw::with_session(&zk, 10_000).await;

        fault(&disk, true);
        raw.send(&request(2, CREATE, &create("/lost", 0))).await;
        assert_eq!(raw.receive().await, None, "it is not acknowledged");
        assert_eq!(other.receive().await, None, "the writes that it has seen may have been taken back");

        let mut raw = Raw::resumed(&zk, &session).await;
        assert_eq!(get(&mut raw, "/kept").await.err, 0);
        assert_eq!(get(&mut raw, "/lost").await.err, NO_NODE);
        assert_eq!(raw.request(3, CREATE, &create("/lost", 0)).await.err, NOT_READ_ONLY);
        assert_eq!(raw.request(4, SET_DATA, &set_data("/kept", b"1")).await.err, NOT_READ_ONLY);
        let mut stranger = Raw::in_memory(&zk);
        stranger.send(&crate::raw::connect_request(10_000)).await;
        assert_eq!(stranger.receive().await, None, "a new session would be a write");
        zk.advance(Duration::from_secs(60)).await;
        assert_eq!(get(&mut raw, "/kept").await.err, 0, "no session ends meanwhile");

        fault(&disk, false);
        create_at_last(&mut raw, "/new").await;
        zk.advance(Duration::from_secs(9)).await;
        assert_eq!(get(&mut raw, "/kept").await.err, 0, "its session timeout begins anew");
        Raw::with_session(&zk, 10_000).await;
        zk.stop().await;

        let zk = start(&disk).await;
        assert_eq!(zk.children("/").unwrap(), ["kept", "new", "zookeeper"]);
        zk.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_log_does_not_keep_transactions_that_were_taken_back() {
    let disk = SimulatedDisk::new(1);
    let zk = start(&disk).await;
    let mut raw = Raw::in_memory(&zk);
    let session = raw.open_session(10_000).await;
    disk.set_failing_syncs(true);
    // All of them get to the log, whole, in one write.
    let requests = (1..=3).flat_map(|xid| frame(&request(xid, CREATE, &create(&format!("/lost-{xid}"), 0))));
    raw.write(&requests.collect::<Vec<_>>()).await;
    assert_eq!(raw.receive().await, None);
    disk.set_failing_syncs(false);
    let mut raw = Raw::resumed(&zk, &session).await;
    create_at_last(&mut raw, "/length").await;
    // The power goes before the log is ended cleanly.
    disk.lose_power();
    drop(zk);
    disk.restore_power();
    let zk = start(&disk).await;
    assert_eq!(zk.children("/").unwrap(), ["length", "zookeeper"]);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_wait_for_the_disk_is_not_read_without_end() {
    let disk = SimulatedDisk::new(1);
    let builder = ZkMini::builder().in_memory().max_backlog(64 << 10);
    let zk = builder.data_dir("/data").disk(&disk).start().await.unwrap();
    let mut raw = Raw::with_session(&zk, 10_000).await;
    let size = 4_000;
    for xid in 1..=100 {
        raw.send(&request(xid, SET_DATA, &set_data("/none", &vec![0; size]))).await;
    }
    for xid in 1..=100 {
        assert_eq!((xid, raw.reply().await.xid), (xid, xid));
    }
    zk.stop().await;
}

#[tokio::test]
async fn a_directory_that_cannot_be_written_gives_a_clear_error() {
    let disk = SimulatedDisk::new(1);
    disk.set_read_only(true);
    let error = ZkMini::builder().in_memory().data_dir("/data").disk(&disk).start().await.unwrap_err();
    let expected = "cannot make the directory /data/version-2: read-only filesystem or storage medium";
    assert_eq!(error.to_string(), expected);

    disk.set_read_only(false);
    start(&disk).await.stop().await;
    disk.set_full(true);
    disk.set_read_only(true);
    let error = ZkMini::builder().in_memory().data_dir("/data").disk(&disk).start().await.unwrap_err();
    assert_eq!(error.to_string(), "cannot lock /data/zk-mini.lock: read-only filesystem or storage medium");
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_that_fails_leaves_the_logs_that_are_needed() {
    let disk = SimulatedDisk::new(1);
    let count = NonZeroU64::new(5).unwrap();
    let builder = ZkMini::builder().in_memory().data_dir("/data").disk(&disk);
    let builder = builder.snap_count(count).snap_step(STEP);
    let zk = builder.start().await.unwrap();
    let mut raw = Raw::with_session(&zk, 10_000).await;
    let mut lost = 0;
    // Each failure is at another change, of some snapshots and their logs.
    for xid in 1..=40 {
        disk.set_failing_syncs(xid % 7 == 0);
        raw.send(&request(xid, CREATE, &create(&format!("/n-{xid}"), 0))).await;
        if raw.receive().await.is_none() {
            lost += 1;
            disk.set_failing_syncs(false);
            raw = session_at_last(&zk).await;
        }
    }
    assert_eq!(lost, 5);
    let before = zk.children("/").unwrap();
    disk.lose_power();
    drop(zk);
    disk.restore_power();
    let zk = start(&disk).await;
    assert_eq!(zk.children("/").unwrap(), before);
}

/// Returns the state on a disk, and checks that no part of it is of a later transaction.
fn left_on(disk: &SimulatedDisk) -> Core {
    let left = disk.recover(Path::new("/data"), Some(Path::new("/logs")), Config::default()).unwrap().core;
    let last = left.last_zxid();
    let ahead: Vec<_> = left.image().nodes.into_iter().filter(|node| node.mzxid > last).collect();
    assert!(ahead.is_empty(), "{ahead:?} after {last}");
    left
}

/// Creates nodes, in spite of failures, until `count` have been acknowledged, or some after the `moment`-th change to
/// the disk. Returns those that were.
async fn create_all(
    zk: &ZkMini,
    disk: &SimulatedDisk,
    writer: char,
    count: usize,
    moment: u64,
) -> Vec<String> {
    const IN_FLIGHT: usize = 3;
    const AFTERWARDS: usize = 2;
    let (mut acknowledged, mut after) = (Vec::new(), None);
    let mut next = 0;
    'connections: loop {
        let mut raw = session_at_last(zk).await;
        left_on(disk);
        let mut in_flight = VecDeque::new();
        loop {
            // The two writers pause differently, so that their writes are not always in one batch.
            for _ in 0..next % 5 {
                tokio::task::yield_now().await;
            }
            while in_flight.len() < IN_FLIGHT {
                let name = format!("{writer}-{next:03}");
                let frame = frame(&request(1, CREATE, &create(&format!("/{name}"), 0)));
                if raw.stream.write_all(&frame).await.is_err() {
                    continue 'connections;
                }
                in_flight.push_back(name);
                next += 1;
            }
            if raw.receive().await.is_none() {
                continue 'connections;
            }
            acknowledged.extend(in_flight.pop_front());
            if disk.changes() > moment {
                after.get_or_insert(acknowledged.len());
            }
            if acknowledged.len() >= after.map_or(count, |after| after + AFTERWARDS) {
                return acknowledged;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn one_failure_of_a_disk_at_any_time_loses_no_acknowledged_write() {
    const SEEDS: u64 = 4;
    let (mut moment, mut comes) = (0, true);
    while comes {
        comes = false;
        for seed in 0..SEEDS {
            comes |= survives_a_failure(&SimulatedDisk::new(seed), moment).await;
        }
        moment += 1;
    }
    assert!(moment > 50, "only {moment} changes were tried");
}

/// Returns true if there were as many changes to the disk at all.
async fn survives_a_failure(disk: &SimulatedDisk, moment: u64) -> bool {
    let [count, block] = [5, 1_024].map(|n| NonZeroU64::new(n).unwrap());
    let builder = ZkMini::builder().in_memory().data_dir("/data").data_log_dir("/logs").disk(disk);
    let builder = builder
        .snap_count(count)
        .snap_step(STEP)
        .pre_alloc_size(block)
        .retain_snapshots(2.try_into().unwrap());
    let zk = builder.start().await.unwrap();
    disk.fail_after(moment);
    let moment = disk.changes() + moment;
    let writer = |name| create_all(&zk, disk, name, 30, moment);
    let (one, other) = tokio::join!(writer('a'), writer('b'));
    let acknowledged = [one, other].concat();
    let has_come = disk.changes() > moment;
    disk.lose_power();
    drop(zk);
    disk.restore_power();
    let there = left_on(disk).children("/").unwrap();
    let missing: Vec<_> =
        acknowledged.iter().filter(|name| !there.iter().any(|there| *there == name.as_str())).collect();
    assert!(missing.is_empty(), "{missing:?} after a failure at change {moment}");
    has_come
}

#[tokio::test(start_paused = true)]
async fn a_server_starts_and_serves_on_a_full_disk_and_leaves_nothing_on_it() {
    let disk = SimulatedDisk::new(1);
    let zk = start(&disk).await;
    let mut raw = Raw::in_memory(&zk);
    let session = raw.open_session(10_000).await;
    assert_eq!(raw.create("/kept", 0).await.err, 0);
    zk.stop().await;

    disk.set_full(true);
    let before = disk.changes();
    let zk = start(&disk).await;
    // The snapshot, the log, and the directory of both are synced.
    assert!(disk.changes() > before + 4, "it has tried to write a snapshot");
    let mut raw = Raw::resumed(&zk, &session).await;
    assert_eq!(get(&mut raw, "/kept").await.err, 0);
    let files = ["/data/version-2/log.1", "/data/version-2/snapshot.0"].map(PathBuf::from);
    assert_eq!(disk.files(), files, "no snapshot");
    zk.stop().await;
}

/// Returns the number of whole snapshots.
fn snapshots(disk: &SimulatedDisk) -> usize {
    let is_snapshot = |file: &PathBuf| {
        file.file_stem().is_some_and(|stem| stem == "snapshot") && !file.ends_with("snapshot.unfinished")
    };
    disk.files().iter().filter(|file| is_snapshot(file)).count()
}

#[tokio::test]
async fn a_large_tree_is_served_before_there_is_a_snapshot_for_the_next_start() {
    const BATCH: i32 = 100;
    let disk = SimulatedDisk::new(1);
    let zk = start(&disk).await;
    let mut raw = Raw::with_session(&zk, 10_000).await;
    for first in (0..10_000).step_by(100) {
        for number in first..first + BATCH {
            raw.send(&request(number, CREATE, &create(&format!("/{number}"), 0))).await;
        }
        for _ in 0..BATCH {
            assert_eq!(raw.reply().await.err, 0);
        }
    }
    zk.stop().await;
    let before = snapshots(&disk);
    let zk = start(&disk).await;
    assert_eq!(snapshots(&disk), before, "no client waits for it");
    eventually("a snapshot", || snapshots(&disk) > before).await;
    zk.stop().await;
    let recovery = disk.recover(Path::new("/data"), None, Config::default()).unwrap();
    assert_eq!((recovery.core.node_count(), recovery.replayed), (10_004, 0));
}

#[tokio::test(start_paused = true)]
async fn a_start_whose_syncs_fail_does_not_serve() {
    let disk = SimulatedDisk::new(1);
    start(&disk).await.stop().await;
    disk.set_failing_syncs(true);
    let error = ZkMini::builder().in_memory().data_dir("/data").disk(&disk).start().await.unwrap_err();
    assert_eq!(error.to_string(), "cannot sync /data/version-2/snapshot.0: the disk does not sync");
    disk.set_failing_syncs(false);
    start(&disk).await.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_log_has_the_transactions_of_a_snapshot_even_without_syncs() {
    for seed in 0..40 {
        let disk = SimulatedDisk::new(seed);
        let [count, block] = [5, 1_024].map(|n| NonZeroU64::new(n).unwrap());
        let builder = ZkMini::builder().in_memory().data_dir("/data").data_log_dir("/logs").disk(&disk);
        let builder = builder.snap_count(count).snap_step(STEP).pre_alloc_size(block);
        let zk = builder.sync(SyncMode::None).start().await.unwrap();
        let mut raw = Raw::with_session(&zk, 10_000).await;
        let is_new = |file: &PathBuf| {
            let is_snapshot = file.file_stem().is_some_and(|stem| stem == "snapshot");
            is_snapshot && file.extension().is_some_and(|zxid| zxid != "0" && zxid != "unfinished")
        };
        for n in 0.. {
            raw.send(&request(n, CREATE, &create(&format!("/n-{n:03}"), 0))).await;
            if disk.files().iter().any(is_new) {
                break;
            }
            raw.receive().await.unwrap();
        }
        disk.lose_power();
        drop(zk);
        disk.restore_power();
        // The log may be in pieces behind that.
        match disk.recover(Path::new("/data"), Some(Path::new("/logs")), Config::default()) {
            Ok(_) | Err(StorageError::Log { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
}
