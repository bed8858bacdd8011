//! Recovery of directories with missing files, or of another writer: nothing is missing, or the start fails.

use std::fs;
use std::path::Path;

use zk_mini::core::{Compat, NodeKind};
use zk_mini::storage::{StorageError, recover};
use zk_mini::{Builder, Error, ZkMini};
use zk_wire::Zxid;

use crate::files::{file, names};
use crate::raw::{CREATE, DELETE, EPHEMERAL, MULTI, Raw, SET_DATA, create, multi, set_data, within};

fn server(dir: &Path) -> Builder {
    ZkMini::builder().in_memory().seed(7).manual_clock().data_dir(dir)
}

async fn refused(builder: Builder) -> StorageError {
    match builder.start().await.unwrap_err() {
        Error::Storage(error) => error,
        other => panic!("{other}"),
    }
}

/// Runs servers on a directory, in each of which a session creates a node: two transactions.
async fn lives(dir: &Path, count: usize) {
    for _ in 0..count {
        let zk = server(dir).start().await.unwrap();
        assert_eq!(Raw::with_session(&zk, 10_000).await.create("/n-", 2).await.err, 0);
        zk.stop().await;
    }
}

fn damage(file: &Path) {
    damage_at(file, fs::read(file).unwrap().len() / 2);
}

fn damage_at(file: &Path, byte: usize) {
    let mut content = fs::read(file).unwrap();
    content[byte] ^= 1;
    fs::write(file, content).unwrap();
}

/// Length and text of the path that no node has, behind a seal.
const END: &[u8] = b"\0\0\0\x01/";

/// Changes the content of a snapshot, and renews its seal.
fn change_snapshot(file: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut content = fs::read(file).unwrap();
    // Behind the nodes: the end, seal, end, digest, seal, end.
    let nodes = content.windows(END.len()).position(|window| window == END).unwrap();
    content.truncate(nodes + END.len());
    change(&mut content);
    seal(&mut content);
    fs::write(file, content).unwrap();
}

fn seal(content: &mut Vec<u8>) {
    let seal = i64::from(simd_adler32::adler32(&&content[..]));
    content.extend(seal.to_be_bytes());
    content.extend(END);
}

#[tokio::test]
async fn a_damaged_record_before_a_clients_zeros_is_not_treated_as_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let zk = server(dir.path()).start().await.unwrap();
    let mut raw = Raw::with_session(&zk, 10_000).await;
    raw.create("/a", 0).await;
    for _ in 0..3 {
        raw.request(2, SET_DATA, &set_data("/a", &[0; 2_000])).await;
    }
    zk.stop().await;
    let log = file(dir.path(), "log.1");
    let mut content = fs::read(&log).unwrap();
    // In the first record, behind the header of the file and its own.
    content[16 + 12 + 40] ^= 1;
    // A killed server leaves its log like this.
    let written = content.len() as u64;
    content.resize(content.len() + 100_000, 0);
    fs::write(&log, &content).unwrap();
    let error = refused(server(dir.path())).await;
    let StorageError::Log { offset: 16, loss, .. } = error else { panic!("{error}") };
    assert_eq!((loss.bytes, loss.transactions), (written - 16, 4), "zeros are no loss");
    assert_eq!(fs::read(&log).unwrap(), content, "nothing is cut");
}

#[tokio::test]
async fn a_torn_end_that_looks_like_many_records_is_read_fast() {
    let dir = tempfile::tempdir().unwrap();
    lives(dir.path(), 1).await;
    let log = file(dir.path(), "log.1");
    let whole = fs::read(&log).unwrap();
    // Each line begins a record of 1 MiB with a mark at its end, which is no record; the first is longer than the
    // rest.
    let line = [0, 0, 0, 0, 0, 0, 0, 1, 0, 0x10, 0, 0, 0x42, 1, 1, 1];
    let mut torn = line.repeat((2 << 20) / line.len());
    torn[8] = 0x40;
    fs::write(&log, [&whole[..], &torn].concat()).unwrap();
    let read = tokio::task::spawn_blocking(move || recover(dir.path(), None));
    let (_, offset, bytes) = within(read).await.unwrap().unwrap().torn.unwrap();
    assert_eq!((offset, bytes), (whole.len() as u64, torn.len() as u64));
}

#[tokio::test]
async fn only_whole_snapshots_with_a_possible_zxid_count_as_retained() {
    let dir = tempfile::tempdir().unwrap();
    lives(dir.path(), 3).await;
    // 0, 2 and 4 are there; the start writes 6.
    damage(&file(dir.path(), "snapshot.4"));
    fs::copy(file(dir.path(), "snapshot.2"), file(dir.path(), "log.2.gz")).unwrap();
    let two = std::num::NonZeroUsize::new(2).unwrap();
    let zk = server(dir.path()).retain_snapshots(two).start().await.unwrap();
    zk.stop().await;
    let kept = ["log.2.gz", "log.3", "log.5", "snapshot.2", "snapshot.4", "snapshot.6"];
    assert_eq!(names(dir.path()), kept);

    // A file with a later zxid in its name than there is does not count as a snapshot to keep.
    fs::copy(file(dir.path(), "snapshot.2"), file(dir.path(), "snapshot.1")).unwrap();
    fs::write(file(dir.path(), "snapshot.ff"), "ZKSN").unwrap();
    let error = refused(server(dir.path())).await;
    let expected = "it has transactions that no other file has: the valid ones end with zxid 0x6.";
    assert!(error.to_string().contains(expected), "{error}");
    assert!(matches!(error, StorageError::Lost { last: Zxid(6), .. }), "{error}");
}

#[tokio::test]
async fn a_snapshot_that_cannot_be_read_is_not_passed_over() {
    let dir = tempfile::tempdir().unwrap();
    lives(dir.path(), 1).await;
    fs::create_dir(file(dir.path(), "snapshot.9")).unwrap();
    let error = refused(server(dir.path())).await;
    assert!(error.to_string().starts_with("cannot read "), "{error}");
}

#[tokio::test]
async fn a_damaged_snapshot_is_no_loss_if_the_logs_have_its_transactions() {
    let dir = tempfile::tempdir().unwrap();
    lives(dir.path(), 2).await;
    damage(&file(dir.path(), "snapshot.2"));
    let recovery = recover(dir.path(), None).unwrap();
    assert_eq!((recovery.core.last_zxid(), recovery.damaged.len()), (Zxid(4), 1));
    fs::remove_file(file(dir.path(), "log.3")).unwrap();
    fs::remove_file(file(dir.path(), "log.1")).unwrap();
    let error = recover(dir.path(), None).unwrap_err();
    assert!(matches!(error, StorageError::Lost { last: Zxid(0), .. }), "{error}");
}

#[tokio::test]
async fn a_node_without_its_access_control_list_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    lives(dir.path(), 2).await;
    let set_list = |content: &mut Vec<u8>| {
        let name = b"/n-0000000000\0\0\0\x01x";
        let node = content.windows(name.len()).position(|window| window == name).unwrap();
        content[node + name.len() + 7] = 99;
    };
    // The log that it was created in is before the snapshot: its list is in no file.
    change_snapshot(&file(dir.path(), "snapshot.2"), set_list);
    let error = refused(server(dir.path())).await;
    let expected = "do not have the access control list of /n-0000000000: ";
    assert!(error.to_string().contains(expected), "{error}");
    assert!(matches!(error, StorageError::NoAcl { .. }), "{error}");
}

#[tokio::test]
async fn transactions_that_a_snapshot_shows_in_part_must_be_in_the_logs() {
    let dir = tempfile::tempdir().unwrap();
    lives(dir.path(), 2).await;
    let snapshot = file(dir.path(), "snapshot.2");
    let ends_with = |zxid: i64| {
        change_snapshot(&snapshot, |_| {});
        let mut content = fs::read(&snapshot).unwrap();
        content.extend([&zxid.to_be_bytes()[..], &2_i32.to_be_bytes(), &7_i64.to_be_bytes()].concat());
        seal(&mut content);
        fs::write(&snapshot, content).unwrap();
    };
    ends_with(4);
    assert_eq!(recover(dir.path(), None).unwrap().core.last_zxid(), Zxid(4));
    ends_with(5);
    let error = refused(server(dir.path())).await;
    let expected = "snapshot.2 shows transactions up to zxid 0x5, and the logs behind it end with 0x4: ";
    assert!(error.to_string().contains(expected), "{error}");
    assert!(matches!(error, StorageError::Ahead { .. }), "{error}");
    fs::remove_file(&snapshot).unwrap();
    assert_eq!(recover(dir.path(), None).unwrap().core.last_zxid(), Zxid(4));
}

#[tokio::test]
async fn nodes_that_a_start_deletes_without_a_transaction_stay_deleted() {
    let dir = tempfile::tempdir().unwrap();
    let zk = server(dir.path()).start().await.unwrap();
    assert_eq!(Raw::with_session(&zk, 10_000).await.create("/e", EPHEMERAL).await.err, 0);
    zk.stop().await;
    server(dir.path()).start().await.unwrap().stop().await;
    // The session is removed, its node is not.
    change_snapshot(&file(dir.path(), "snapshot.2"), |content| {
        content[16 + 3] = 0;
        content.drain(20..32);
    });
    let before = fs::read(file(dir.path(), "snapshot.2")).unwrap();
    assert!(recover(dir.path(), None).unwrap().ended_nodes);
    server(dir.path()).start().await.unwrap().stop().await;
    assert_ne!(fs::read(file(dir.path(), "snapshot.2")).unwrap(), before);
    let recovery = recover(dir.path(), None).unwrap();
    assert!(!recovery.ended_nodes);
    assert!(recovery.core.image().nodes.iter().all(|node| node.kind == NodeKind::Persistent));
}

#[tokio::test]
async fn a_digest_from_before_the_snapshot_is_ignored() {
    let dir = tempfile::tempdir().unwrap();
    lives(dir.path(), 2).await;
    fs::remove_file(file(dir.path(), "log.3")).unwrap();
    server(dir.path()).start().await.unwrap().stop().await;
    // The log that is left ends with a different state than that of the snapshot.
    change_snapshot(&file(dir.path(), "snapshot.2"), |content| {
        let name = b"/n-0000000000\0\0\0\x01x";
        let node = content.windows(name.len()).position(|window| window == name).unwrap();
        content[node + name.len() - 1] = b'y';
    });
    let recovery = recover(dir.path(), None).unwrap();
    assert_eq!((recovery.replayed, recovery.verified), (0, None));
}

#[tokio::test]
async fn a_skipped_zxid_is_not_a_gap() {
    let dir = tempfile::tempdir().unwrap();
    lives(dir.path(), 1).await;
    let zk = server(dir.path()).compat(Compat::V3_8).start().await.unwrap();
    let session = Raw::in_memory(&zk).open_session(10_000).await;
    zk.stop().await;
    let zk = server(dir.path()).compat(Compat::V3_8).start().await.unwrap();
    let mut raw = Raw::resumed(&zk, &session).await;
    let no_path = multi(&[(DELETE, [[0xff; 4], [0; 4]].concat())]);
    raw.request(1, MULTI, &no_path).await;
    assert_eq!(raw.request(2, CREATE, &create("/after", 0)).await.zxid, 5);
    zk.stop().await;
    // Without the snapshots that hide it.
    fs::remove_file(file(dir.path(), "snapshot.3")).unwrap();
    assert_eq!(names(dir.path()), ["log.1", "log.3", "log.4", "snapshot.0", "snapshot.2"]);
    assert_eq!(recover(dir.path(), None).unwrap().core.last_zxid(), Zxid(5));
    // Apache ZooKeeper names it like this.
    fs::rename(file(dir.path(), "log.4"), file(dir.path(), "log.5")).unwrap();
    assert_eq!(recover(dir.path(), None).unwrap().core.last_zxid(), Zxid(5));
    // Then the name of a node is missing from the state of the digest.
    fs::remove_file(file(dir.path(), "log.3")).unwrap();
    fs::remove_file(file(dir.path(), "snapshot.2")).unwrap();
    fs::remove_file(file(dir.path(), "log.1")).unwrap();
    assert!(recover(dir.path(), None).is_err());
}

#[tokio::test]
async fn a_torn_end_before_another_log_stays_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    lives(dir.path(), 2).await;
    fs::remove_file(file(dir.path(), "snapshot.2")).unwrap();
    let logs = ["log.1", "log.3"].map(|name| file(dir.path(), name));
    fs::write(&logs[0], [fs::read(&logs[0]).unwrap(), vec![7; 5]].concat()).unwrap();
    let recovery = recover(dir.path(), None).unwrap();
    assert_eq!((recovery.core.last_zxid(), recovery.replayed, recovery.torn), (Zxid(4), 4, None));
    assert_eq!(recovery.logs, logs);
}

#[tokio::test]
async fn a_log_directory_has_one_server_at_a_time_too() {
    let [one, other, logs] = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let zk = server(one.path()).data_log_dir(logs.path()).start().await.unwrap();
    let error = refused(server(other.path()).data_log_dir(logs.path())).await;
    assert!(
        matches!(&error, StorageError::Locked { dir } if *dir == logs.path().canonicalize().unwrap()),
        "{error}"
    );
    zk.stop().await;
    // Another path to the same directory is not another directory.
    let again = one.path().join("version-2/..");
    server(one.path()).data_log_dir(again).start().await.unwrap().stop().await;
}

#[tokio::test]
async fn a_session_that_was_cut_off_before_a_later_log_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let zk = server(dir.path()).start().await.unwrap();
    Raw::with_session(&zk, 10_000).await;
    zk.stop().await;
    lives(dir.path(), 1).await;
    fs::remove_file(file(dir.path(), "snapshot.1")).unwrap();
    let log = file(dir.path(), "log.1");
    let whole = fs::read(&log).unwrap();
    // The tree is the same without it.
    fs::write(&log, &whole[..whole.len() - 1]).unwrap();
    let error = refused(server(dir.path())).await;
    assert!(matches!(error, StorageError::Log { offset: 16, .. }), "{error}");
    assert!(error.to_string().contains("the next log does not go on there, but with 0x2"), "{error}");
}

/// Returns the bytes behind the nodes of the newest snapshot and their seal.
fn behind_the_seal(dir: &Path) -> Vec<u8> {
    let names = names(dir);
    let content = fs::read(file(dir, names.last().unwrap())).unwrap();
    let nodes = content.windows(END.len()).position(|window| window == END).unwrap();
    content[nodes + END.len() + 8 + END.len()..].to_vec()
}

#[tokio::test]
async fn a_snapshot_has_the_parts_of_its_release_line() {
    let dir = tempfile::tempdir().unwrap();
    lives(dir.path(), 1).await;
    // A zxid and the digest; in 3.9 the zxid once more; each with a seal.
    for (compat, len) in [(Compat::V3_8, 8 + 12 + 8 + 5), (Compat::V3_9, 8 + 12 + 8 + 5 + 8 + 8 + 5)] {
        let newest = file(dir.path(), "snapshot.2");
        let _ = fs::remove_file(&newest);
        server(dir.path()).compat(compat).start().await.unwrap().stop().await;
        let parts = behind_the_seal(dir.path());
        assert_eq!((parts.len(), &parts[..8]), (len, &2_i64.to_be_bytes()[..]));
        if compat == Compat::V3_9 {
            assert_eq!(parts[33..41], 2_i64.to_be_bytes());
        }
        for other in [Compat::V3_8, Compat::V3_9] {
            server(dir.path()).compat(other).start().await.unwrap().stop().await;
        }
        // A wrong seal is noticed, whichever it is.
        let whole = fs::read(&newest).unwrap();
        for byte in whole.len() - len..whole.len() {
            damage_at(&newest, byte);
            assert_eq!(recover(dir.path(), None).unwrap().damaged.len(), 1, "byte {byte}");
            fs::write(&newest, &whole).unwrap();
        }
    }
}
