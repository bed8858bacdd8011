//! Data directories and snapshots of a zk-mini that was reset and restored, in Apache ZooKeeper.
#![expect(clippy::unwrap_used, reason = "helpers of tests may unwrap as the tests do")]

use std::path::Path;

use integration_tests::ensemble::{RealZooKeeper, Release};
use zk_client::{Client, CreateMode};
use zk_mini::{Compat, Snapshot, ZkMini};

use crate::hand_over::{assert_opened, digest_mismatches, fill};

#[tokio::test(flavor = "multi_thread")]
async fn apache_zookeeper_3_8_opens_the_directory_of_a_restored_server() {
    apache_zookeeper_opens(Release::V3_8, Compat::V3_8).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn apache_zookeeper_3_9_opens_the_directory_of_a_restored_server() {
    apache_zookeeper_opens(Release::V3_9, Compat::V3_9).await;
}

async fn apache_zookeeper_opens(release: Release, compat: Compat) {
    let dir = tempfile::tempdir().unwrap();
    let zk = ZkMini::builder().data_dir(dir.path()).compat(compat).start().await.unwrap();
    zk.create("/junk/deeper", "").parents().await.unwrap();
    zk.reset().await.unwrap();
    let (owner, before) = fill(&zk.connect_string()).await;
    let snapshot = zk.snapshot();
    zk.delete_recursive("/queue").await.unwrap();
    zk.create("/junk/deeper", "").parents().await.unwrap();
    zk.restore(&snapshot).await.unwrap();
    zk.restart_losing_unsynced().await.unwrap();
    zk.create("/after", "1").await.unwrap();
    zk.delete("/after").await.unwrap();
    let after = zk.get("/").unwrap().1;
    zk.stop().await;
    let left = zk_mini::storage::recover(dir.path(), None).unwrap();
    assert_eq!(left.verified, Some(true));

    let real = RealZooKeeper::builder().release(release).data(dir.path()).start().unwrap();
    assert_eq!(digest_mismatches(&real), 0, "its tree has our digests");
    let client = Client::connect(&real.connect_string()).await.unwrap();
    assert_eq!(client.get("/").await.unwrap().1, after);
    // The root has changed since.
    let before = before.into_iter().map(|mut node| {
        if node.0 == "/" {
            node.2 = after;
        }
        node
    });
    assert_opened(&real.connect_string(), &owner, &before.collect()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn apache_zookeeper_3_8_opens_the_bytes_of_a_snapshot() {
    apache_zookeeper_opens_bytes(Release::V3_8).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn apache_zookeeper_3_9_opens_the_bytes_of_a_snapshot() {
    apache_zookeeper_opens_bytes(Release::V3_9).await;
}

async fn apache_zookeeper_opens_bytes(release: Release) {
    let zk = ZkMini::start().await.unwrap();
    // Passwords of sessions are ours in memory: it looks at the nodes only.
    let client = Client::connect(&zk.connect_string()).await.unwrap();
    client.create("/a", "1", CreateMode::Persistent).await.unwrap();
    client.create("/a/e", "2", CreateMode::Ephemeral).await.unwrap();
    let snapshot = zk.snapshot();
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), &snapshot);
    let mut real = RealZooKeeper::builder().release(release).data(dir.path()).start().unwrap();
    let reader = Client::connect(&real.connect_string()).await.unwrap();
    for path in ["/", "/a", "/a/e"] {
        let (data, stat) = reader.get(path).await.unwrap();
        assert_eq!((data, stat), zk.get(path).unwrap(), "{path}");
    }
    assert_eq!(digest_mismatches(&real), 0);
    reader.create("/real", "", CreateMode::Persistent).await.unwrap();
    real.kill(0);
    real.restart(0).unwrap();
    real.kill(0);

    // The server writes a snapshot when it starts.
    let inner = real.data_dir(0).join("version-2");
    let files = std::fs::read_dir(inner).unwrap().map(|file| file.unwrap().path());
    let newest = files.filter(|file| file.file_stem().is_some_and(|stem| stem == "snapshot")).max().unwrap();
    let theirs = Snapshot::from_bytes(std::fs::read(newest).unwrap()).unwrap();
    zk.restore(&theirs).await.unwrap();
    assert!(zk.get("/real").is_some() && zk.get("/a/e").is_some());
}

fn write(dir: &Path, snapshot: &Snapshot) {
    let inner = dir.join("version-2");
    std::fs::create_dir(&inner).unwrap();
    let name = format!("snapshot.{:x}", snapshot.last_zxid().0);
    std::fs::write(inner.join(name), snapshot.to_bytes().unwrap()).unwrap();
}
