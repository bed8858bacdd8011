//! Servers that misbehave: requests that they never answer.

use std::time::Duration;

use tokio::time::Instant;
use zk_client::{Client, CreateMode, Error, SessionState};
use zk_mini::{On, Then, ZkMini};

use crate::support::client_of;

async fn server() -> ZkMini {
    ZkMini::builder().in_memory().seed(7).auto_advance().start().await.unwrap()
}

fn client(zk: &ZkMini) -> zk_client::Builder {
    client_of(zk).session_timeout(Duration::from_secs(10))
}

#[tokio::test(start_paused = true)]
async fn a_write_whose_answer_never_comes_fails_and_says_that_it_may_have_been_applied() {
    for (set, limit) in [(None, 10), (Some(Duration::from_secs(3)), 3)] {
        let zk = server().await;
        let client = match set {
            Some(limit) => client(&zk).answer_timeout(limit),
            None => client(&zk),
        };
        let client: Client = client.connect().await.unwrap();
        let session = client.credentials().unwrap().id;
        let silent = zk.fault(On::create("/a").nth(1), Then::apply_and_be_silent());
        let before = Instant::now();
        let error = client.create("/a", "", CreateMode::Ephemeral).await.unwrap_err();
        assert_eq!((silent.fired(), before.elapsed().as_secs()), (1, limit));
        assert!(matches!(error, Error::ConnectionLost { sent: true, .. }), "{error}");
        assert!(error.may_have_been_applied() && error.is_retryable());
        // The session goes on, with its node.
        assert!(client.exists("/a").await.unwrap().is_some());
        assert_eq!(client.state(), SessionState::Connected(session));
    }
}

#[tokio::test(start_paused = true)]
async fn a_reply_that_is_late_but_within_the_limit_is_waited_for() {
    let zk = server().await;
    let client = client(&zk).answer_timeout(Duration::from_secs(3_600)).connect().await.unwrap();
    let _late = zk.fault(On::create("/a"), Then::delay(Duration::from_secs(6)));
    client.create("/a", "", CreateMode::Persistent).await.unwrap();
}
