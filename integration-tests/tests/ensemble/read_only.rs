//! Clients that accept a server in read-only mode, which has lost the majority of its ensemble.

use std::time::Duration;

use integration_tests::ensemble::RealZooKeeper;
use integration_tests::four_letter;
use integration_tests::wait::{PATIENCE, eventually};
use tokio::time::timeout;
use zk_client::{Builder, Client, CreateMode, Error, ErrorCode, Expected, SessionState};

fn client(zk: &RealZooKeeper) -> Builder {
    let builder = Client::builder().servers(zk.connect_string()).session_timeout(Duration::from_secs(60));
    builder.connect_timeout(PATIENCE)
}

async fn until(client: &Client, wanted: impl FnMut(&SessionState) -> bool) -> SessionState {
    let waited = timeout(PATIENCE, client.states().wait_for(wanted)).await;
    waited.unwrap_or_else(|_| panic!("still {}", client.state())).expect("it is open")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_server_of_an_ensemble_answers_reads_until_the_others_are_back() {
    let builder = RealZooKeeper::builder().servers(3);
    let builder = builder.jvm_option("-Dreadonlymode.enabled=true").setting("localSessionsEnabled", true);
    let builder = builder.setting("localSessionsUpgradingEnabled", true);
    let mut zk = builder.start().unwrap();
    let old = client(&zk).read_only(true).connect().await.unwrap();
    old.create("/a", "kept", CreateMode::Persistent).await.unwrap();
    // With an ephemeral node it becomes a session of the ensemble.
    old.create("/mine", "", CreateMode::Ephemeral).await.unwrap();
    let session = old.credentials().unwrap().id;
    // All have the node and the session before two of them go.
    for index in 0..3 {
        let one = Client::builder().servers(zk.addr(index).to_string()).connect().await.unwrap();
        one.sync("/").await.unwrap();
        one.close().await.unwrap();
    }
    for index in [0, 1] {
        zk.kill(index);
    }
    let last = zk.addr(2);
    eventually("the last server is read-only", PATIENCE, || {
        four_letter::mode(last).as_deref() == Some("read-only")
    });
    let new = client(&zk).read_only(true).connect().await.unwrap();
    let SessionState::ConnectedReadOnly(local) = new.state() else { panic!("{}", new.state()) };
    assert_eq!(new.get("/a").await.unwrap().0, "kept");
    let refused = new.set("/a", "new", Expected::Any).await.unwrap_err();
    assert_eq!(refused.code(), Some(ErrorCode::NOT_READ_ONLY), "{refused}");
    // A server that is cut off takes no session of the ensemble.
    assert_eq!(old.state(), SessionState::Disconnected(session));
    let strict = client(&zk).connect_timeout(Duration::from_secs(2)).connect().await;
    assert!(matches!(strict, Err(Error::Unreachable { .. })));

    for index in [0, 1] {
        zk.restart(index).unwrap();
    }
    // Servers that give local sessions may have forgotten one of the ensemble when they start: it goes on, or ends.
    until(&old, |state| matches!(state, SessionState::Connected(_))).await;
    let state = until(&new, |state| matches!(state, SessionState::Connected(_))).await;
    assert_ne!(state, SessionState::Connected(local), "a session of the ensemble");
    for client in [old, new] {
        client.set("/a", "new", Expected::Any).await.unwrap();
        client.close_within(Duration::from_secs(5)).await.unwrap();
    }
}
