//! A server that is killed again and again under writers: acknowledged writes stay.
#![expect(clippy::unwrap_used, reason = "helpers of tests may unwrap as the tests do")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use integration_tests::programs::ServeProcess;
use integration_tests::wait::{PATIENCE, eventually};
use nix::sys::signal::Signal;
use zk_client::{Client, CreateMode};
use zk_mini::storage::recover;

const WRITERS: usize = 4;

/// Number of rounds; more by hand, with `KILLED_ROUNDS=200`.
fn rounds() -> usize {
    std::env::var("KILLED_ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(20)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_acknowledged_write_is_kept_and_no_other_is_kept_in_part() {
    let dir = tempfile::tempdir().unwrap();
    let mut acknowledged = BTreeMap::new();
    for round in 0..rounds() {
        let mut zk = serve(dir.path(), round);
        // The kill comes at another time in each round.
        let enough = 20 + round * 37 % 200;
        let count = Arc::new(AtomicUsize::new(0));
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let (servers, count) = (zk.addr().to_string(), Arc::clone(&count));
                tokio::spawn(async move { write(&servers, round, writer, &count).await })
            })
            .collect();
        tokio::task::block_in_place(|| {
            eventually("the writers write", PATIENCE, || count.load(Ordering::Relaxed) >= enough);
        });
        zk.process.signal(Signal::SIGKILL);
        zk.process.wait();
        for (writer, written) in writers.into_iter().enumerate() {
            acknowledged.insert((round, writer), written.await.unwrap());
        }
        check(dir.path(), &acknowledged);
    }
}

/// Starts the server, in every other round with many snapshots of which most are purged.
fn serve(dir: &Path, round: usize) -> ServeProcess {
    let mut args = vec!["serve", "--listen", "127.0.0.1:0", "--data-dir", dir.to_str().unwrap()];
    if round % 2 == 1 {
        args.extend(["--snap-count", "10", "--retain-snapshots", "2"]);
    }
    ServeProcess::with_args(&args)
}

/// Creates nodes until the server is gone, and returns the number of acknowledged ones.
async fn write(servers: &str, round: usize, writer: usize, count: &AtomicUsize) -> usize {
    let Ok(client) = Client::connect(servers).await else { return 0 };
    for n in 0.. {
        let path = format!("/{round}-{writer}-{n}");
        if client.create(&path, path.clone(), CreateMode::Persistent).await.is_err() {
            return n;
        }
        count.fetch_add(1, Ordering::Relaxed);
    }
    unreachable!("the server is killed");
}

/// Checks that all acknowledged nodes of each writer exist, with their data. The one under way may exist, and no other.
fn check(dir: &Path, acknowledged: &BTreeMap<(usize, usize), usize>) {
    let core = recover(dir, None).unwrap().core;
    for ((round, writer), written) in acknowledged {
        let is_there = |n: &usize| {
            let path = format!("/{round}-{writer}-{n}");
            let node = core.node(&path);
            if let Some(node) = &node {
                assert_eq!(node.data.as_deref(), Some(path.as_bytes()));
            }
            node.is_some()
        };
        assert!(
            (0..*written).all(|n| is_there(&n)),
            "writer {writer} of round {round}: {written} were acknowledged"
        );
        assert!(!is_there(&(written + 1)), "writer {writer} of round {round} never wrote it");
    }
}
