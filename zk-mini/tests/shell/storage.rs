//! Recovery of a data directory that is whole, torn or damaged.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use zk_mini::storage::{StorageError, recover};
use zk_mini::{Error, ZkMini};
use zk_wire::Zxid;

use crate::raw::{CREATE, EPHEMERAL, Raw, SET_DATA, create, request, set_data};

async fn start(dir: &Path) -> ZkMini {
    ZkMini::builder().in_memory().seed(7).manual_clock().data_dir(dir).start().await.unwrap()
}

/// Starts a server with a session and `count` nodes `/n-…`.
async fn with_nodes(dir: &Path, count: usize) -> ZkMini {
    let zk = start(dir).await;
    let mut raw = Raw::with_session(&zk, 10_000).await;
    for _ in 0..count {
        assert_eq!(raw.create("/n-", 2).await.err, 0);
    }
    zk
}

fn log(dir: &Path) -> PathBuf {
    dir.join("version-2/log.1")
}

#[tokio::test]
async fn a_restart_keeps_nodes_counters_and_sessions() {
    let dir = tempfile::tempdir().unwrap();
    let zk = start(dir.path()).await;
    let mut raw = Raw::with_session(&zk, 10_000).await;
    raw.create("/e", EPHEMERAL).await;
    raw.create("/n-", 2).await;
    let before = (zk.get("/e"), zk.last_zxid(), zk.sessions()[0].id);
    zk.stop().await;

    let zk = start(dir.path()).await;
    let session = zk.sessions()[0].id;
    assert_eq!((zk.get("/e"), zk.last_zxid(), session), before);
    let mut raw = Raw::with_session(&zk, 10_000).await;
    assert!(raw.create("/n-", 2).await.body.ends_with(b"/n-0000000002"));

    // The session owner does not come back: its time begins with the start.
    zk.advance(Duration::from_secs(9)).await;
    assert!(zk.get("/e").is_some());
    zk.advance(Duration::from_secs(3)).await;
    assert_eq!(zk.get("/e"), None);
}

#[tokio::test]
async fn a_third_start_sees_what_the_second_wrote() {
    let dir = tempfile::tempdir().unwrap();
    for generation in 1..=4 {
        let zk = with_nodes(dir.path(), 2).await;
        assert_eq!(zk.children("/").unwrap().len(), 1 + 2 * generation);
        zk.stop().await;
    }
    assert_eq!(recover(dir.path(), None).unwrap().core.last_zxid(), Zxid(12));
}

#[tokio::test]
async fn replies_and_events_wait_for_the_disk_in_their_order() {
    let dir = tempfile::tempdir().unwrap();
    let zk = with_nodes(dir.path(), 1).await;
    let mut raw = Raw::with_session(&zk, 10_000).await;
    // They are sent at once: the read is answered after the writes before it.
    let path = "/n-0000000000";
    let frames = [
        request(1, SET_DATA, &set_data(path, b"1")),
        request(2, crate::raw::GET_DATA, &crate::raw::get_data(path, true)),
        request(3, SET_DATA, &set_data(path, b"2")),
        request(4, CREATE, &create("/after", 0)),
    ];
    let all: Vec<u8> = frames.iter().flat_map(|frame| crate::raw::frame(frame)).collect();
    raw.write(&all).await;
    let mut order = Vec::new();
    for _ in 0..5 {
        order.push(raw.reply().await.xid);
    }
    assert_eq!(order, [1, 2, -1, 3, 4]);
}

#[tokio::test]
async fn a_log_that_ends_anywhere_gives_its_whole_records() {
    const NODES: i64 = 4;
    let dir = tempfile::tempdir().unwrap();
    with_nodes(dir.path(), usize::try_from(NODES).unwrap()).await.stop().await;
    let whole = fs::read(log(dir.path())).unwrap();
    let mut last = 0;
    for len in 0..=whole.len() {
        // A crash leaves the written bytes, then the end of the file, or zeros.
        for zeros in [0, 100] {
            let mut torn = whole[..len].to_vec();
            torn.resize(len + zeros, 0);
            fs::write(log(dir.path()), torn).unwrap();
            let recovery = recover(dir.path(), None).unwrap();
            let zxid = recovery.core.last_zxid().0;
            assert!(zxid == last || zxid == last + 1, "{len} bytes: {zxid} after {last}");
            assert_eq!(recovery.replayed, zxid.cast_unsigned());
            last = zxid;
        }
    }
    assert_eq!(last, NODES + 1);
}

#[tokio::test]
async fn a_torn_end_is_cut_off_and_the_log_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    with_nodes(dir.path(), 3).await.stop().await;
    let whole = fs::read(log(dir.path())).unwrap();
    // In the middle of "anyone", before flags, counter, digest and mark; and in a file with zeros at its end.
    let behind = 3 + 1 + 4 + 12 + 1;
    let mut torn = whole[..whole.len() - behind].to_vec();
    torn.resize(1_000, 0);
    fs::write(log(dir.path()), torn).unwrap();
    let (file, offset, bytes) = recover(dir.path(), None).unwrap().torn.unwrap();
    assert_eq!((file, offset + bytes), (log(dir.path()), (whole.len() - behind) as u64));

    let zk = with_nodes(dir.path(), 1).await;
    assert_eq!(fs::metadata(log(dir.path())).unwrap().len(), offset);
    assert_eq!(zk.children("/").unwrap(), ["n-0000000000", "n-0000000001", "n-0000000002", "zookeeper"]);
    zk.stop().await;
}

#[tokio::test]
async fn damage_in_the_middle_stops_the_start_with_a_clear_error() {
    let dir = tempfile::tempdir().unwrap();
    with_nodes(dir.path(), 3).await.stop().await;
    let mut content = fs::read(log(dir.path())).unwrap();
    content[60] ^= 1;
    fs::write(log(dir.path()), &content).unwrap();
    let error = ZkMini::builder().in_memory().data_dir(dir.path()).start().await.unwrap_err();
    let Error::Storage(StorageError::Log { file, offset, .. }) = &error else { panic!("{error}") };
    assert_eq!((file, *offset), (&log(dir.path()), 16));
    assert!(error.to_string().contains("log.1 is damaged at byte 16"), "{error}");
    assert_eq!(fs::read(log(dir.path())).unwrap(), content, "no file is changed");
}

#[tokio::test]
async fn a_damaged_length_is_not_treated_as_the_end_of_the_log() {
    let dir = tempfile::tempdir().unwrap();
    with_nodes(dir.path(), 3).await.stop().await;
    let mut content = fs::read(log(dir.path())).unwrap();
    // Of the first record, behind the file's header and the checksum.
    content[16 + 8] |= 0x40;
    fs::write(log(dir.path()), &content).unwrap();
    let error = ZkMini::builder().in_memory().data_dir(dir.path()).start().await.unwrap_err();
    assert!(matches!(error, Error::Storage(StorageError::Log { offset: 16, .. })), "{error}");
    assert_eq!(fs::read(log(dir.path())).unwrap(), content, "nothing is cut");
}

#[tokio::test]
async fn a_few_stray_bytes_at_the_end_are_cut() {
    let dir = tempfile::tempdir().unwrap();
    with_nodes(dir.path(), 1).await.stop().await;
    let whole = fs::read(log(dir.path())).unwrap();
    for stray in 1..=13 {
        fs::write(log(dir.path()), [&whole[..], &vec![7; stray]].concat()).unwrap();
        let torn = recover(dir.path(), None).unwrap().torn.unwrap();
        assert_eq!((torn.1, torn.2), (whole.len() as u64, stray as u64));
    }
}

#[tokio::test]
async fn a_damaged_snapshot_is_passed_over_for_the_one_before() {
    let dir = tempfile::tempdir().unwrap();
    with_nodes(dir.path(), 3).await.stop().await;
    start(dir.path()).await.stop().await;
    let newest = dir.path().join("version-2/snapshot.4");
    let mut content = fs::read(&newest).unwrap();
    let middle = content.len() / 2;
    content[middle] ^= 1;
    fs::write(&newest, content).unwrap();
    let recovery = recover(dir.path(), None).unwrap();
    assert!(matches!(&recovery.damaged[..], [StorageError::Snapshot { file, .. }] if *file == newest));
    assert_eq!((recovery.core.last_zxid(), recovery.replayed), (Zxid(4), 4));

    fs::remove_file(dir.path().join("version-2/snapshot.0")).unwrap();
    fs::rename(log(dir.path()), dir.path().join("version-2/log.2")).unwrap();
    let error = recover(dir.path(), None).unwrap_err();
    assert!(matches!(error, StorageError::NoSnapshot { first: Zxid(2), .. }), "{error}");
}

#[tokio::test]
async fn a_missing_log_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    for _ in 0..3 {
        with_nodes(dir.path(), 2).await.stop().await;
    }
    let format_dir = dir.path().join("version-2");
    fs::remove_file(format_dir.join("snapshot.6")).unwrap();
    assert_eq!(recover(dir.path(), None).unwrap().core.last_zxid(), Zxid(9));
    fs::remove_file(format_dir.join("log.4")).unwrap();
    let error = recover(dir.path(), None).unwrap_err();
    assert!(error.to_string().contains("log.7 begins after zxid 0x3, "), "{error}");
    assert!(matches!(error, StorageError::Gap { last: Zxid(3), .. }), "{error}");
}

#[tokio::test]
async fn a_directory_with_nothing_but_a_damaged_snapshot_is_not_taken_for_a_new_one() {
    let dir = tempfile::tempdir().unwrap();
    start(dir.path()).await.stop().await;
    fs::write(dir.path().join("version-2/snapshot.0"), "ZKSN").unwrap();
    let error = ZkMini::builder().in_memory().data_dir(dir.path()).start().await.unwrap_err();
    assert!(matches!(error, Error::Storage(StorageError::Lost { .. })), "{error}");
}

#[tokio::test]
async fn a_directory_has_one_server_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let zk = start(dir.path()).await;
    let error = ZkMini::builder().in_memory().data_dir(dir.path()).start().await.unwrap_err();
    assert!(matches!(error, Error::Storage(StorageError::Locked { .. })), "{error}");
    zk.stop().await;
    start(dir.path()).await;
}

#[tokio::test]
async fn four_letter_words_report_the_size_of_the_data_directory() {
    let dir = tempfile::tempdir().unwrap();
    let zk = with_nodes(dir.path(), 1).await;
    let mut asking = Raw::in_memory(&zk);
    asking.write(b"dirs").await;
    let size = fs::read_dir(dir.path().join("version-2"))
        .unwrap()
        .map(|file| file.unwrap().metadata().unwrap().len())
        .sum::<u64>();
    let answer = String::from_utf8(asking.rest().await).unwrap();
    assert_eq!(answer, format!("datadir_size: {size}\nlogdir_size: {size}\n"));
    let mut asking = Raw::in_memory(&zk);
    asking.write(b"conf").await;
    let answer = String::from_utf8(asking.rest().await).unwrap();
    let line = format!("\ndataDir={}\n", dir.path().join("version-2").display());
    assert!(answer.contains(&line), "{answer}");
}

#[tokio::test]
async fn old_snapshots_are_deleted_with_their_logs() {
    let dir = tempfile::tempdir().unwrap();
    for _ in 0..4 {
        let zk = with_nodes(dir.path(), 1).await;
        zk.stop().await;
    }
    let keep = std::num::NonZeroUsize::new(2).unwrap();
    let zk = ZkMini::builder().in_memory().data_dir(dir.path()).retain_snapshots(keep).start().await.unwrap();
    zk.stop().await;
    let files = fs::read_dir(dir.path().join("version-2")).unwrap();
    let mut names: Vec<_> = files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    names.sort_unstable();
    assert_eq!(names, ["log.7", "snapshot.6", "snapshot.8"]);
    assert_eq!(recover(dir.path(), None).unwrap().core.last_zxid(), Zxid(8));
}
