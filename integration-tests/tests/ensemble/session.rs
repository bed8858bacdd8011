//! A session, its nodes and its watches survive the death of their server.

use integration_tests::ensemble::RealZooKeeper;
use integration_tests::wait::{PATIENCE, eventually};
use zk_client::{Client, CreateMode, Error, EventType, Expected, SessionState};

#[tokio::test(flavor = "multi_thread")]
async fn nodes_watches_and_the_session_itself_survive_the_death_of_their_server() {
    let mut zk = RealZooKeeper::ensemble().unwrap();
    let owner = Client::connect(&zk.connect_string()).await.unwrap();
    let other = Client::connect(&zk.connect_string()).await.unwrap();
    let session = owner.credentials().unwrap().id;
    let node = owner.create("/node", "before", CreateMode::Ephemeral).await.unwrap();
    let (_, _, mut watch) = owner.get_and_watch("/node").await.unwrap();

    // The death of the leader interrupts all clients, that of a follower only its own.
    let server = zk.serving(session.0).unwrap();
    zk.kill(server);

    let mut states = owner.states();
    let again = |state: &SessionState| *state == SessionState::Connected(session);
    tokio::time::timeout(PATIENCE, states.wait_for(again)).await.unwrap().unwrap();
    eventually("another server serves the session", PATIENCE, || {
        zk.serving(session.0).is_some_and(|now| now != server)
    });
    // A new leader interrupts the connections of the others, too: these calls may have to be repeated.
    assert_eq!(retried(async || other.exists("/node").await).await, Some(node.stat));
    retried(async || other.set("/node", "after", Expected::Any).await).await;
    let event = tokio::time::timeout(PATIENCE, watch.changed()).await.unwrap().unwrap();
    assert_eq!((event.event, event.path.as_ref()), (EventType::NODE_DATA_CHANGED, "/node"));
    owner.close().await.unwrap();
    // Each server answers reads by itself and may lag.
    other.sync("/node").await.unwrap();
    assert_eq!(other.exists("/node").await.unwrap(), None);
}

async fn retried<T>(call: impl AsyncFn() -> Result<T, Error>) -> T {
    loop {
        match call().await {
            Err(error) if error.is_retryable() => {}
            result => return result.expect("answered"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_with_older_or_lost_data_makes_the_client_begin_another_session() {
    let mut zk = RealZooKeeper::standalone().unwrap();
    let files = zk.data_dir(0).join("version-2");
    let client = Client::connect(&zk.connect_string()).await.unwrap();
    let node = CreateMode::EphemeralSequential;
    client.create("/n-", "", node).await.unwrap();
    zk.stop(0);
    let older: Vec<_> = std::fs::read_dir(&files)
        .unwrap()
        .map(|file| file.unwrap().path())
        .map(|file| (file.clone(), std::fs::read(file).unwrap()))
        .collect();
    zk.restart(0).unwrap();
    retried(async || client.create("/n-", "", node).await).await;

    // The older data has the session and one of its nodes.
    for data in [&older[..], &[]] {
        for _ in 0..5 {
            retried(async || client.create("/n-", "", node).await).await;
        }
        let session = client.credentials().unwrap().id;
        zk.kill(0);
        std::fs::remove_dir_all(&files).unwrap();
        std::fs::create_dir(&files).unwrap();
        for (file, content) in data {
            std::fs::write(file, content).unwrap();
        }
        zk.restart(0).unwrap();
        let mut states = client.states();
        let another = |state: &SessionState| matches!(state, SessionState::Connected(id) if *id != session);
        tokio::time::timeout(PATIENCE, states.wait_for(another)).await.unwrap().unwrap();
    }
    // The old sessions expire, since no client renews them.
    let all_gone = async {
        while retried(async || client.children("/").await).await.0 != ["zookeeper"] {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, all_gone).await.unwrap();
    client.close().await.unwrap();
}
