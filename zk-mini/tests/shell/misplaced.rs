//! Files in the wrong directory or under the wrong name: no server starts without them.

use std::fs;
use std::path::Path;

use tempfile::TempDir;
use zk_mini::core::Compat;
use zk_mini::storage::{StorageError, recover};
use zk_mini::{Builder, Error, ZkMini};
use zk_wire::Zxid;

use crate::disk::session_at_last;
use crate::files::file;
use crate::raw::{CREATE, PING, Raw, create, eventually, request};

fn server(dir: &Path) -> Builder {
    ZkMini::builder().in_memory().seed(7).manual_clock().data_dir(dir)
}

async fn refused(builder: Builder) -> StorageError {
    match builder.start().await {
        Err(Error::Storage(error)) => error,
        other => panic!("{other:?}"),
    }
}

/// Runs servers on a directory, in each of which a session creates a node: two transactions.
async fn lives(server: impl Fn() -> Builder, count: usize) {
    for _ in 0..count {
        let zk = server().start().await.unwrap();
        assert_eq!(Raw::with_session(&zk, 10_000).await.create("/n-", 2).await.err, 0);
        zk.stop().await;
    }
}

/// Returns a directory of three servers: log.1, log.3, log.5, snapshot.0, snapshot.2, snapshot.4.
async fn three_lives(compat: Compat) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    lives(|| server(dir.path()).compat(compat), 3).await;
    dir
}

#[tokio::test]
async fn a_renamed_snapshot_is_refused() {
    for compat in [Compat::V3_8, Compat::V3_9] {
        for name in ["snapshot.6", "snapshot.5", "snapshot.100"] {
            for copied in [true, false] {
                let dir = three_lives(compat).await;
                for original in ["snapshot.0", "snapshot.2", "snapshot.4"] {
                    let (original, other) = (file(dir.path(), original), file(dir.path(), name));
                    fs::copy(&original, &other).unwrap();
                    if !copied {
                        fs::rename(&original, dir.path().join("away")).unwrap();
                    }
                    let error = refused(server(dir.path())).await;
                    assert!(
                        matches!(&error, StorageError::Misnamed { file, .. } if *file == other),
                        "{error}"
                    );
                    assert!(matches!(recover(dir.path(), None), Err(StorageError::Misnamed { .. })));
                    fs::remove_file(&other).unwrap();
                    if !copied {
                        fs::rename(dir.path().join("away"), original).unwrap();
                    }
                }
            }
        }
    }
}

/// Apache ZooKeeper 3.8 writes a digest of zeros if it has started and nothing has changed since.
#[tokio::test]
async fn a_snapshot_without_a_digest_of_its_last_transaction_is_read() {
    let dir = three_lives(Compat::V3_8).await;
    const DIGEST: usize = 8 + 4 + 8;
    const SEAL: usize = 8 + 5;
    let snapshot = file(dir.path(), "snapshot.4");
    let mut content = fs::read(&snapshot).unwrap();
    let at = content.len() - DIGEST - SEAL;
    content[at..at + 8].fill(0);
    content[at + 12..at + DIGEST].fill(0);
    let seal = i64::from(simd_adler32::adler32(&&content[..at + DIGEST])).to_be_bytes();
    content[at + DIGEST..at + DIGEST + 8].copy_from_slice(&seal);
    fs::write(&snapshot, &content).unwrap();
    let recovery = recover(dir.path(), None).unwrap();
    assert_eq!((recovery.snapshot, recovery.core.last_zxid()), (Some(snapshot.clone()), Zxid(6)));
    // The log verifies its name, as before there were digests in snapshots.
    fs::rename(snapshot, file(dir.path(), "snapshot.3")).unwrap();
    fs::write(file(dir.path(), "snapshot.6"), content).unwrap();
    assert!(matches!(recover(dir.path(), None), Err(StorageError::Misnamed { .. })));
}

#[tokio::test]
async fn a_snapshot_renamed_to_an_earlier_zxid_is_harmless_or_refused() {
    let dir = three_lives(Compat::V3_9).await;
    fs::rename(file(dir.path(), "snapshot.4"), file(dir.path(), "snapshot.3")).unwrap();
    assert_eq!(recover(dir.path(), None).unwrap().core.last_zxid(), Zxid(6));
    fs::remove_file(file(dir.path(), "log.5")).unwrap();
    fs::remove_file(file(dir.path(), "log.3")).unwrap();
    let error = refused(server(dir.path())).await;
    assert!(matches!(error, StorageError::Ahead { shown: Zxid(4), last: Zxid(3), .. }), "{error}");
}

#[tokio::test]
async fn a_renamed_log_is_refused_or_nothing_is_missing() {
    for original in ["log.1", "log.3", "log.5"] {
        for name in ["log.0", "log.2", "log.4", "log.6", "log.7", "log.20"] {
            for copied in [true, false] {
                let dir = three_lives(Compat::V3_9).await;
                fs::remove_file(file(dir.path(), "snapshot.4")).unwrap();
                fs::copy(file(dir.path(), original), file(dir.path(), name)).unwrap();
                if !copied {
                    fs::remove_file(file(dir.path(), original)).unwrap();
                }
                match recover(dir.path(), None) {
                    Ok(recovery) => assert_eq!(
                        (recovery.core.last_zxid(), recovery.core.node_count()),
                        (Zxid(6), 4 + 3),
                        "{original} {name}"
                    ),
                    Err(StorageError::Misnamed { .. } | StorageError::Gap { .. }) => {}
                    Err(error) => panic!("{error}"),
                }
            }
        }
    }
}

#[tokio::test]
async fn a_log_directory_that_does_not_fit_the_data_is_refused() {
    let [data, logs, other] = [(); 3].map(|()| tempfile::tempdir().unwrap());
    lives(|| server(data.path()), 2).await;
    // The log directory was set later.
    let error = refused(server(data.path()).data_log_dir(logs.path())).await;
    assert!(matches!(error, StorageError::Misplaced { is_log: true, .. }), "{error}");
    assert!(matches!(
        recover(data.path(), Some(logs.path())),
        Err(StorageError::NoData { .. } | StorageError::Misplaced { .. })
    ));
    // The logs are moved there, as the error says.
    fs::create_dir_all(logs.path().join("version-2")).unwrap();
    for log in ["log.1", "log.3"] {
        fs::rename(file(data.path(), log), file(logs.path(), log)).unwrap();
    }
    lives(|| server(data.path()).data_log_dir(logs.path()), 1).await;
    assert_eq!(recover(data.path(), Some(logs.path())).unwrap().core.last_zxid(), Zxid(6));
    // The two are swapped.
    let error = refused(server(logs.path()).data_log_dir(data.path())).await;
    assert!(matches!(error, StorageError::Misplaced { is_log: true, .. }), "{error}");
    assert!(matches!(recover(logs.path(), Some(data.path())), Err(StorageError::Misplaced { .. })));
    // There are snapshots among the logs.
    let error = refused(server(other.path()).data_log_dir(data.path())).await;
    assert!(matches!(error, StorageError::Misplaced { is_log: false, .. }), "{error}");
    // It is no longer set: the snapshots alone are an older state.
    let error = refused(server(data.path())).await;
    assert!(matches!(error, StorageError::LogsElsewhere { .. }), "{error}");
    assert!(matches!(recover(data.path(), None), Err(StorageError::LogsElsewhere { .. })));
    // The whole data directory has moved, or the logs have.
    let moved = other.path().join("moved");
    fs::rename(logs.path(), &moved).unwrap();
    lives(|| server(data.path()).data_log_dir(&moved), 1).await;
    assert_eq!(recover(data.path(), Some(&moved)).unwrap().core.last_zxid(), Zxid(8));
}

#[tokio::test(start_paused = true)]
async fn a_log_that_is_moved_away_under_the_server_is_noticed_before_the_next_acknowledgement() {
    for is_deleted in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        let zk = server(dir.path()).start().await.unwrap();
        let mut raw = Raw::with_session(&zk, 10_000).await;
        assert_eq!(raw.create("/before", 0).await.err, 0);
        let (log, away) = (file(dir.path(), "log.1"), dir.path().join("away"));
        if is_deleted {
            fs::remove_file(&log).unwrap();
        } else {
            fs::rename(&log, &away).unwrap();
        }
        raw.send(&request(1, CREATE, &create("/after", 0))).await;
        raw.send(&request(-2, PING, &[])).await;
        let answer = tokio::time::timeout(std::time::Duration::from_millis(200), raw.receive()).await;
        assert!(!matches!(answer, Ok(Some(_))), "{answer:?}");
        assert!(zk.get("/before").is_some(), "nothing older is served");
        if !is_deleted {
            fs::rename(&away, &log).unwrap();
            eventually("it goes on", || zk.get("/after").is_none()).await;
            let mut raw = session_at_last(&zk).await;
            assert_eq!(raw.create("/again", 0).await.err, 0);
            zk.stop().await;
            let left = recover(dir.path(), None).unwrap().core;
            assert!(
                left.node("/before").is_some()
                    && left.node("/after").is_none()
                    && left.node("/again").is_some()
            );
        }
    }
}
