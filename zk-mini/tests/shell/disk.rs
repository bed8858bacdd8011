//! What a server does whose disk is full, fails, or cannot be written.

use std::num::NonZeroU64;
use std::time::Duration;

use zk_mini::ZkMini;
use zk_mini::storage::SimulatedDisk;

use crate::raw::{
    CREATE, GET_DATA, PATIENCE, Raw, Reply, SET_DATA, create, frame, get_data, request, set_data,
};

const NOT_READ_ONLY: i32 = -119;
const NO_NODE: i32 = -101;

async fn start(disk: &SimulatedDisk) -> ZkMini {
    let block = NonZeroU64::new(4096).unwrap();
    let builder = ZkMini::builder().in_memory().seed(7).manual_clock();
    builder.data_dir("/data").disk(disk).pre_alloc_size(block).start().await.unwrap()
}

async fn get(raw: &mut Raw, path: &str) -> Reply {
    raw.request(1, GET_DATA, &get_data(path, false)).await
}

/// Creates a node as soon as the server takes writes; returns how often that was refused.
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

type Fault = fn(&SimulatedDisk, bool);
const FAULTS: [Fault; 3] =
    [SimulatedDisk::set_full, SimulatedDisk::set_failing_syncs, SimulatedDisk::set_read_only];

#[tokio::test(start_paused = true)]
async fn a_disk_that_fails_costs_what_was_not_acknowledged_and_the_rest_is_served() {
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
        assert_eq!(other.receive().await, None, "what it has seen since may have been taken back");

        let mut raw = Raw::resumed(&zk, &session).await;
        assert_eq!(get(&mut raw, "/kept").await.err, 0);
        assert_eq!(get(&mut raw, "/lost").await.err, NO_NODE);
        assert_eq!(raw.request(3, CREATE, &create("/lost", 0)).await.err, NOT_READ_ONLY);
        assert_eq!(raw.request(4, SET_DATA, &set_data("/kept", b"1")).await.err, NOT_READ_ONLY);
        let mut stranger = Raw::in_memory(&zk);
        stranger.send(&crate::raw::connect_request(10_000)).await;
        assert_eq!(stranger.receive().await, None, "a session would be a change");
        zk.advance(Duration::from_secs(60)).await;
        assert_eq!(get(&mut raw, "/kept").await.err, 0, "no session ends meanwhile");

        fault(&disk, false);
        create_at_last(&mut raw, "/new").await;
        zk.advance(Duration::from_secs(9)).await;
        assert_eq!(get(&mut raw, "/kept").await.err, 0, "its time begins anew");
        Raw::with_session(&zk, 10_000).await;
        zk.stop().await;

        let zk = start(&disk).await;
        assert_eq!(zk.direct().children("/").unwrap(), ["kept", "new", "zookeeper"]);
        zk.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_log_does_not_keep_what_was_taken_back() {
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
    // The power goes before the log is ended in order.
    disk.lose_power();
    drop(zk);
    disk.restore_power();
    let zk = start(&disk).await;
    assert_eq!(zk.direct().children("/").unwrap(), ["length", "zookeeper"]);
}

#[tokio::test(start_paused = true)]
async fn one_who_does_not_wait_for_the_disk_is_not_read_for_ever() {
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
async fn a_directory_that_cannot_be_written_is_a_clear_error() {
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
    let builder = ZkMini::builder().in_memory().data_dir("/data").snap_count(count).disk(&disk);
    let zk = builder.start().await.unwrap();
    let mut raw = Raw::with_session(&zk, 10_000).await;
    let mut lost = 0;
    // Wherever it fails, among the changes of some snapshots and their logs.
    for xid in 1..=40 {
        disk.set_failing_syncs(xid % 7 == 0);
        raw.send(&request(xid, CREATE, &create(&format!("/n-{xid}"), 0))).await;
        if raw.receive().await.is_none() {
            lost += 1;
            disk.set_failing_syncs(false);
            raw = loop {
                let mut raw = Raw::in_memory(&zk);
                raw.send(&crate::raw::connect_request(10_000)).await;
                if raw.receive().await.is_some() {
                    break raw;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            };
        }
    }
    assert_eq!(lost, 5);
    let before = zk.direct().children("/").unwrap();
    disk.lose_power();
    drop(zk);
    disk.restore_power();
    let zk = start(&disk).await;
    assert_eq!(zk.direct().children("/").unwrap(), before);
}
