//! Servers and networks that misbehave: requests that are never answered, packets that are swallowed.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::Instant;
use zk_client::{Client, Connect, Connecting, CreateMode, Error, SessionState};
use zk_mini::{On, Then, ZkMini};

use crate::support::{Cable, client_of, until};

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

/// Cable whose unplugged end swallows what is sent into it, and never refuses.
#[derive(Clone)]
struct Swallowing {
    cable: Cable,
    swallows: Arc<AtomicBool>,
}

impl Connect for Swallowing {
    fn connect<'a>(&'a self, server: &'a str, address: &'a str) -> Connecting<'a> {
        if self.swallows.load(Ordering::SeqCst) {
            return Box::pin(pending());
        }
        self.cable.connect(server, address)
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_is_back_under_a_second_after_hosts_that_swallowed_its_packets() {
    let zk = server().await;
    let cable = Cable::new(&zk);
    let way = Swallowing { cable: cable.clone(), swallows: Arc::default() };
    let client = Client::builder().servers("h1,h2,h3").seed(7).via(way.clone()).connect().await.unwrap();
    for outage in [2, 5, 7] {
        way.swallows.store(true, Ordering::SeqCst);
        cable.unplug();
        until(&client, |state| matches!(state, SessionState::Disconnected(_))).await;
        tokio::time::sleep(Duration::from_secs(outage)).await;
        way.swallows.store(false, Ordering::SeqCst);
        cable.plug();
        let back = Instant::now();
        until(&client, |state| matches!(state, SessionState::Connected(_))).await;
        assert!(back.elapsed() < Duration::from_secs(1), "{:?}", back.elapsed());
    }
    way.swallows.store(true, Ordering::SeqCst);
    let lost = Client::builder().servers("h1,h2").via(way).connect_timeout(Duration::from_secs(5));
    let message = lost.connect().await.unwrap_err().to_string();
    for server in ["h1:2181 (no connection in time)", "h2:2181 (no connection in time)"] {
        assert!(message.contains(server), "{message}");
    }
}
