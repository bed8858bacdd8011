//! Data directories of zk-mini in Apache ZooKeeper, and the other way round: nodes, stats, ACLs, counters, sessions.
#![expect(clippy::unwrap_used, reason = "helpers of tests may unwrap as the tests do")]

use std::io::{Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use integration_tests::ensemble::{RealZooKeeper, Release};
use integration_tests::programs::ServeProcess;
use integration_tests::raw::RawClient;
use integration_tests::wait::{PATIENCE, eventually};
use nix::sys::signal::Signal;
use zk_client::{Acl, Client, CreateMode, Credentials, Error, Expected, Stat};
use zk_mini::ZkMini;
use zk_wire::ErrorCode;

const SESSION_TIMEOUT: i32 = 30_000;

#[tokio::test(flavor = "multi_thread")]
async fn apache_zookeeper_3_8_opens_the_data_of_a_killed_zk_mini() {
    apache_zookeeper_opens(Release::V3_8, "3.8").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn apache_zookeeper_3_9_opens_the_data_of_a_killed_zk_mini() {
    apache_zookeeper_opens(Release::V3_9, "3.9").await;
}

async fn apache_zookeeper_opens(release: Release, compat: &str) {
    let dir = tempfile::tempdir().unwrap();
    let mut zk = serve_with(dir.path(), &["--compat", compat]);
    let (owner, before) = fill(&zk.addr().to_string()).await;
    zk.process.signal(Signal::SIGKILL);
    zk.process.wait();

    let real = RealZooKeeper::builder().release(release).data(dir.path()).start().unwrap();
    assert_eq!(digest_mismatches(&real), 0, "its tree has our digests");
    assert_opened(&real.connect_string(), &owner, &before).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn zk_mini_opens_the_data_of_a_killed_apache_zookeeper_3_8() {
    zk_mini_opens(Release::V3_8, "3.8").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn zk_mini_opens_the_data_of_a_killed_apache_zookeeper_3_9() {
    zk_mini_opens(Release::V3_9, "3.9").await;
}

async fn zk_mini_opens(release: Release, compat: &str) {
    let mut real = RealZooKeeper::builder().release(release).start().unwrap();
    let (owner, before) = fill(&real.connect_string()).await;
    real.kill(0);

    let recovery = zk_mini::storage::recover(&real.data_dir(0), None).unwrap();
    assert_eq!(recovery.verified, Some(true), "our tree has the digest of its tree");
    let zk = serve_with(&real.data_dir(0), &["--compat", compat]);
    assert_opened(&zk.addr().to_string(), &owner, &before).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn zk_mini_opens_the_data_of_an_idle_apache_zookeeper_3_8() {
    zk_mini_opens_the_data_of_an_idle(Release::V3_8).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn zk_mini_opens_the_data_of_an_idle_apache_zookeeper_3_9() {
    zk_mini_opens_the_data_of_an_idle(Release::V3_9).await;
}

/// The real server writes a snapshot at each start: after the second start, only the first snapshot has the transactions.
async fn zk_mini_opens_the_data_of_an_idle(release: Release) {
    let dir = tempfile::tempdir().unwrap();
    let mut zk = serve(dir.path());
    let (owner, before) = fill(&zk.addr().to_string()).await;
    zk.process.signal(Signal::SIGKILL);
    zk.process.wait();
    for _ in 0..2 {
        let mut real = RealZooKeeper::builder().release(release).data(dir.path()).start().unwrap();
        real.kill(0);
    }
    let zk = serve(dir.path());
    assert_opened(&zk.addr().to_string(), &owner, &before).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn apache_zookeeper_goes_on_in_the_epoch_of_the_last_election_of_a_simulated_ensemble() {
    let dir = tempfile::tempdir().unwrap();
    let zk = ZkMini::builder().servers(3).data_dir(dir.path()).start().await.unwrap();
    zk.create("/kept", "data").await.unwrap();
    zk.server(1).unwrap().lead().await.unwrap();
    zk.restart().await;
    let last = zk.last_zxid();
    zk.stop().await;

    let real = RealZooKeeper::builder().data(dir.path()).start().unwrap();
    let client = Client::connect(&real.connect_string()).await.unwrap();
    assert_eq!(client.get("/kept").await.unwrap().0, "data");
    client.create("/later", "", CreateMode::Persistent).await.unwrap();
    let later = client.exists("/later").await.unwrap().unwrap().czxid;
    assert_eq!(later.0 >> 32, last.0 >> 32);
}

/// A snapshot that is taken while the tree changes shows a state that never was. Each server must repair that of the other.
#[tokio::test(flavor = "multi_thread")]
async fn apache_zookeeper_opens_snapshots_of_a_busy_zk_mini() {
    let dir = tempfile::tempdir().unwrap();
    let mut zk = serve_with(dir.path(), &["--snap-count", "50"]);
    churn(&zk.addr().to_string(), || {
        zk.process.signal(Signal::SIGKILL);
        zk.process.wait();
    })
    .await;
    let left = zk_mini::storage::recover(dir.path(), None).unwrap();
    assert_eq!(left.verified, Some(true));
    assert!(left.snapshot.is_some_and(|file| !file.ends_with("snapshot.0")), "it has written a snapshot");

    let real = RealZooKeeper::builder().data(dir.path()).start().unwrap();
    let client = Client::connect(&real.connect_string()).await.unwrap();
    for (path, data, stat, _) in nodes(&client).await {
        let node = left.core.node(&path).unwrap_or_else(|| panic!("{path} is missing"));
        assert_eq!((node.data.unwrap_or_default().as_ref(), node.stat), (data.as_slice(), stat), "{path}");
    }
    assert_eq!(digest_mismatches(&real), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn zk_mini_opens_snapshots_of_a_busy_apache_zookeeper() {
    let mut real = RealZooKeeper::builder().jvm_option("-Dzookeeper.snapCount=50").start().unwrap();
    let servers = real.connect_string();
    churn(&servers, || real.kill(0)).await;
    let left = zk_mini::storage::recover(&real.data_dir(0), None).unwrap();
    assert!(left.snapshot.is_some_and(|file| !file.ends_with("snapshot.0")), "it has written a snapshot");
    assert_eq!(left.verified, Some(true), "our tree has the digest of its tree");
}

/// Creates, changes and deletes the same nodes from several sessions until the server is killed.
async fn churn(servers: &str, kill: impl FnOnce()) {
    const SESSIONS: usize = 4;
    const ROUNDS: usize = 100;
    let rounds = Arc::new(AtomicUsize::new(0));
    let busy: Vec<_> = (0..SESSIONS)
        .map(|session| {
            let (servers, rounds) = (servers.to_owned(), Arc::clone(&rounds));
            tokio::spawn(async move {
                let client = Client::connect(&servers).await.unwrap();
                for round in 0.. {
                    change(&client, session, round).await?;
                    rounds.fetch_add(1, Ordering::Relaxed);
                }
                Ok::<_, Error>(())
            })
        })
        .collect();
    tokio::task::block_in_place(|| {
        eventually("the tree changes", PATIENCE, || rounds.load(Ordering::Relaxed) >= SESSIONS * ROUNDS);
        kill();
    });
    for busy in busy {
        busy.await.unwrap().unwrap_err();
    }
}

/// Creates and changes a parent with children of all kinds in one half of the rounds, and deletes them in the other.
async fn change(client: &Client, session: usize, round: usize) -> Result<(), Error> {
    let read_only = [Acl { perms: zk_wire::Perms::READ | zk_wire::Perms::ADMIN, ..Acl::open() }];
    let parent = format!("/churn-{session}-{}", round % 5);
    let children = [format!("{parent}/a"), format!("{parent}/b")];
    if round % 10 < 5 {
        client.create(&parent, "", CreateMode::Persistent).await?;
        client.create(&children[0], round.to_string(), CreateMode::Ephemeral).await?;
        client.create(&children[1], round.to_string(), CreateMode::Persistent).await?;
        client.set_acl(&children[1], &read_only, Expected::Any).await?;
        client.set(&parent, round.to_string(), Expected::Any).await?;
    } else {
        for path in children.iter().chain([&parent]) {
            client.delete(path, Expected::Any).await?;
        }
    }
    Ok(())
}

/// A logged `check` transaction would keep 3.8 from starting.
#[tokio::test(flavor = "multi_thread")]
async fn apache_zookeeper_opens_data_after_a_check_outside_of_a_multi() {
    const CHECK: i32 = 13;
    let dir = tempfile::tempdir().unwrap();
    let mut zk = serve_with(dir.path(), &["--compat", "3.8"]);
    let mut raw = RawClient::with_session(zk.addr());
    let root = [&1_i32.to_be_bytes()[..], b"/", &[0xff; 4]].concat();
    raw.request(1, CHECK, &root);
    let checked = raw.reply().unwrap();
    assert_eq!(checked.error, ErrorCode::UNIMPLEMENTED.0);
    let client = Client::connect(&zk.addr().to_string()).await.unwrap();
    let after = client.create("/after", "", CreateMode::Persistent).await.unwrap().stat;
    zk.process.signal(Signal::SIGKILL);
    zk.process.wait();

    let real = RealZooKeeper::builder().data(dir.path()).start().unwrap();
    let client = Client::connect(&real.connect_string()).await.unwrap();
    let (_, stat) = client.get("/after").await.unwrap();
    assert_eq!(stat, after);
    assert_eq!(digest_mismatches(&real), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn apache_zookeeper_deletes_more_nodes_of_a_session_than_one_transaction_can_list() {
    // Each takes 25 bytes; a transaction may have 3,024.
    const NODES: usize = 200;
    let dir = tempfile::tempdir().unwrap();
    let limits = ["--jute-max-buffer", "2000", "--jute-max-buffer-extra-size", "1024"];
    let mut zk = serve_with(dir.path(), &limits);
    let client = Client::connect(&zk.addr().to_string()).await.unwrap();
    for _ in 0..NODES {
        client.create("/ephemeral-", "", CreateMode::EphemeralSequential).await.unwrap();
    }
    client.close().await.unwrap();
    let other = Client::connect(&zk.addr().to_string()).await.unwrap();
    other.create("/after", "", CreateMode::Persistent).await.unwrap();
    zk.process.signal(Signal::SIGKILL);
    zk.process.wait();
    let left = zk_mini::storage::recover(dir.path(), None).unwrap();
    assert_eq!((left.verified, left.core.ephemeral_count()), (Some(true), 0));

    let real = RealZooKeeper::builder().data(dir.path()).start().unwrap();
    let client = Client::connect(&real.connect_string()).await.unwrap();
    let (mut children, stat) = client.children("/").await.unwrap();
    children.sort_unstable();
    assert_eq!(children, ["after", "zookeeper"]);
    assert_eq!(stat, left.core.node("/").unwrap().stat);
    assert_eq!(digest_mismatches(&real), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn apache_zookeeper_opens_data_with_the_longest_possible_transaction() {
    const NODES: usize = 117;
    let dir = tempfile::tempdir().unwrap();
    let mut zk = serve(dir.path());
    let client = Client::connect(&zk.addr().to_string()).await.unwrap();
    for n in 0..100 {
        client.add_auth("digest", format!("{n:0130}:secret")).await.unwrap();
    }
    let acl = [Acl { perms: zk_wire::Perms::ALL, scheme: "auth".into(), id: "".into() }];
    // Search for the maximum size of the last node's data, to the byte.
    let (mut fits, mut too_long, mut tries) = (0_usize, 100_000, 0);
    while too_long - fits > 1 {
        let data = fits.midpoint(too_long);
        let last = NODES - 1;
        let mut creates = client.transaction();
        for n in 0..NODES {
            let (path, data) = (format!("/{tries:02}-{n:03}"), vec![7; if n == last { data } else { 0 }]);
            creates = creates.create_with_acl(&path, data, CreateMode::Persistent, &acl);
        }
        let done = creates.commit().await;
        tries += 1;
        match done {
            Ok(_) => fits = data,
            Err(error) => {
                assert_eq!(error.code(), Some(ErrorCode::MARSHALLING_ERROR), "{error}");
                too_long = data;
            }
        }
    }
    assert!(fits > 0);
    zk.process.signal(Signal::SIGKILL);
    zk.process.wait();
    let left = zk_mini::storage::recover(dir.path(), None).unwrap();

    let real = RealZooKeeper::builder().data(dir.path()).start().unwrap();
    let client = Client::connect(&real.connect_string()).await.unwrap();
    let (children, stat) = client.children("/").await.unwrap();
    assert!(children.len() > NODES);
    assert_eq!(stat, left.core.node("/").unwrap().stat);
    assert_eq!(digest_mismatches(&real), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn zk_mini_opens_a_snapshot_compressed_with_gzip() {
    zk_mini_opens_a_compressed_snapshot("gz").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn zk_mini_opens_a_snapshot_compressed_with_snappy() {
    zk_mini_opens_a_compressed_snapshot("snappy").await;
}

async fn zk_mini_opens_a_compressed_snapshot(method: &str) {
    let option = format!("-Dzookeeper.snapshot.compression.method={method}");
    let mut real = RealZooKeeper::builder().jvm_option(&option).start().unwrap();
    let (owner, before) = fill(&real.connect_string()).await;
    // The server writes a snapshot when it starts. Then the logs can be deleted.
    real.kill(0);
    real.restart(0).unwrap();
    real.kill(0);
    let dir = real.data_dir(0);
    let files = std::fs::read_dir(dir.join("version-2")).unwrap().map(|file| file.unwrap().path());
    for file in files.filter(|file| file.file_stem().is_some_and(|stem| stem == "log")) {
        std::fs::remove_file(file).unwrap();
    }

    let zk = serve(&dir);
    assert_opened(&zk.addr().to_string(), &owner, &before).await;
}

fn serve(dir: &Path) -> ServeProcess {
    serve_with(dir, &[])
}

fn serve_with(dir: &Path, options: &[&str]) -> ServeProcess {
    let dir = dir.to_str().unwrap();
    let args = ["serve", "--listen", "127.0.0.1:0", "--data-dir", dir, "--max-session-timeout-ms", "60000"];
    ServeProcess::with_args(&[&args, options].concat())
}

pub(crate) fn digest_mismatches(real: &RealZooKeeper) -> u64 {
    let mut stream = std::net::TcpStream::connect(real.connect_string()).unwrap();
    stream.write_all(b"mntr").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let count = answer.lines().find_map(|line| line.strip_prefix("zk_digest_mismatches_count\t"));
    count.unwrap_or_else(|| panic!("no such count: {answer}")).parse().unwrap()
}

pub(crate) type Nodes = Vec<(String, Vec<u8>, Stat, Vec<Acl>)>;

/// Makes every kind of change. The client stays connected, as a client of a killed server is.
pub(crate) async fn fill(servers: &str) -> (Client, Nodes) {
    let client = Client::connect(servers).await.unwrap();
    client.add_auth("digest", "user:secret").await.unwrap();
    let own = client.create("/own", "mine", CreateMode::Persistent).await.unwrap();
    let list = [Acl { perms: zk_wire::Perms::ALL, scheme: "auth".into(), id: "".into() }];
    client.set_acl(&own.path, &list, Expected::Any).await.unwrap();
    client.create("/queue", "", CreateMode::Persistent).await.unwrap();
    for _ in 0..3 {
        client.create("/queue/n-", "x", CreateMode::PersistentSequential).await.unwrap();
    }
    client.delete("/queue/n-0000000001", Expected::Any).await.unwrap();
    client.create("/queue/e-", "e", CreateMode::EphemeralSequential).await.unwrap();
    client.set("/queue", "changed", Expected::Any).await.unwrap();
    let done = client.transaction().create("/multi", "1", CreateMode::Persistent);
    done.set("/multi", "2", Expected::Any).commit().await.unwrap();
    let refused = client.transaction().create("/refused", "1", CreateMode::Persistent);
    let refused = refused.check("/multi", Expected::Exactly(zk_wire::Version(7))).commit().await;
    assert!(matches!(refused, Err(Error::Transaction { index: 1, .. })), "{refused:?}");
    client.create("/own", "", CreateMode::Persistent).await.unwrap_err();

    // A session that ends, and its node.
    let other = Client::connect(servers).await.unwrap();
    other.create("/gone", "", CreateMode::Ephemeral).await.unwrap();
    other.close().await.unwrap();

    let nodes = nodes(&client).await;
    (client, nodes)
}

pub(crate) async fn assert_opened(servers: &str, owner: &Client, before: &Nodes) {
    let client = Client::connect(servers).await.unwrap();
    client.add_auth("digest", "user:secret").await.unwrap();
    assert_eq!(&nodes(&client).await, before);

    let next = client.create("/queue/n-", "", CreateMode::PersistentSequential).await.unwrap();
    assert_eq!(next.path, "/queue/n-0000000004", "the counter continues");

    let Credentials { id, password } = owner.credentials().unwrap();
    let mut stranger = RawClient::connect(servers.parse().unwrap());
    assert_eq!(stranger.attach(id.0, &[1; 16], SESSION_TIMEOUT), None);
    let mut attached = RawClient::connect(servers.parse().unwrap());
    assert_eq!(attached.attach(id.0, &password, SESSION_TIMEOUT), Some(SESSION_TIMEOUT));
}

/// Returns all nodes but those of the system, which differ between the servers.
async fn nodes(client: &Client) -> Nodes {
    let (mut nodes, mut open) = (Vec::new(), vec!["/".to_owned()]);
    while let Some(path) = open.pop() {
        let (data, stat) = client.get(&path).await.unwrap();
        let (acl, _) = client.acl(&path).await.unwrap();
        let (children, _) = client.children(&path).await.unwrap();
        let join = |name: &String| format!("{}/{name}", path.trim_end_matches('/'));
        open.extend(children.iter().map(join).filter(|path| path != "/zookeeper"));
        nodes.push((path, data.to_vec(), stat, acl));
    }
    nodes.sort_unstable_by(|one, other| one.0.cmp(&other.0));
    nodes
}
