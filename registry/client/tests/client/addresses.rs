//! Names with several addresses, some of them useless.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::net::TcpListener;
use zk_client::{Builder, Client, Connect, Connecting, Error, Resolving, SessionState, TcpConnect};
use zk_mini::ZkMini;

use crate::support::{soon, until};

/// Resolver with given answers, the last one repeated. Connections use TCP.
#[derive(Clone)]
struct Resolver {
    answers: Arc<Mutex<VecDeque<Vec<String>>>>,
}

impl Resolver {
    fn of(answers: &[&[SocketAddr]]) -> Self {
        let answers = answers.iter().map(|answer| answer.iter().map(ToString::to_string).collect());
        Self { answers: Arc::new(Mutex::new(answers.collect())) }
    }

    fn now(&self, answer: &[SocketAddr]) {
        *self.answers.lock().unwrap() = [answer.iter().map(ToString::to_string).collect()].into();
    }
}

impl Connect for Resolver {
    fn resolve<'a>(&'a self, server: &'a str) -> Resolving<'a> {
        assert_eq!(server, "zk.test:2181");
        let mut answers = self.answers.lock().unwrap();
        let answer = if answers.len() > 1 { answers.pop_front() } else { answers.front().cloned() };
        Box::pin(async move { Ok(answer.unwrap_or_default()) })
    }

    fn connect<'a>(&'a self, server: &'a str, address: &'a str) -> Connecting<'a> {
        assert_eq!(server, "zk.test:2181", "the name of the list, for a certificate");
        TcpConnect.connect(server, address)
    }
}

fn client(resolver: &Resolver, seed: u64) -> Builder {
    let builder = Client::builder().servers("zk.test").via(resolver.clone()).seed(seed);
    builder.session_timeout(Duration::from_secs(4))
}

async fn server() -> (ZkMini, SocketAddr) {
    let zk = ZkMini::start().await.unwrap();
    let addr = zk.addr().unwrap();
    (zk, addr)
}

/// Starts a server that accepts connections and never answers; it keeps them open or closes them at once.
async fn useless(host: u8, keep: bool) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::new(127, 0, 0, host), 0)).await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut kept = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            if keep {
                kept.push(stream);
            }
        }
    });
    addr
}

/// Returns an address without a listener.
async fn unused(host: u8) -> SocketAddr {
    TcpListener::bind((Ipv4Addr::new(127, 0, 0, host), 0)).await.unwrap().local_addr().unwrap()
}

#[tokio::test]
async fn addresses_that_are_silent_or_hang_up_do_not_block_the_others() {
    let (_zk, good) = server().await;
    let resolver = Resolver::of(&[&[useless(2, true).await, useless(3, false).await, unused(4).await, good]]);
    for seed in 0..6 {
        let client = soon(client(&resolver, seed).connect()).await.unwrap();
        client.close().await.unwrap();
    }
}

#[tokio::test]
async fn names_are_looked_up_again_in_every_round() {
    let (_zk, good) = server().await;
    let resolver = Resolver::of(&[&[], &[unused(2).await], &[good]]);
    soon(client(&resolver, 1).connect()).await.unwrap();
}

#[tokio::test]
async fn a_server_that_has_moved_is_found_at_its_new_address() {
    let ((before, old), (_after, new)) = (server().await, server().await);
    let resolver = Resolver::of(&[&[old]]);
    let client = soon(client(&resolver, 1).connect()).await.unwrap();
    let session = client.credentials().unwrap().id;
    resolver.now(&[new]);
    before.stop().await;
    until(&client, |state| matches!(state, SessionState::Connected(id) if *id != session)).await;
}

#[tokio::test]
async fn the_error_names_every_address_with_its_last_error() {
    let (silent, none) = (useless(2, true).await, unused(3).await);
    let resolver = Resolver::of(&[&[silent, none]]);
    let builder = client(&resolver, 1).connect_timeout(Duration::from_secs(2));
    let error = soon(builder.connect()).await.unwrap_err();
    let message = error.to_string();
    assert!(message.contains("zk.test:2181 ("), "{message}");
    assert!(message.contains(&format!("{silent}: no answer to the handshake in time")), "{message}");
    assert!(message.contains(&format!("{none}: Connection refused")), "{message}");
    assert!(matches!(&error, Error::Unreachable { tried, .. } if tried.len() == 1));

    let nothing = client(&Resolver::of(&[&[]]), 1).connect_timeout(Duration::from_millis(300));
    let message = soon(nothing.connect()).await.unwrap_err().to_string();
    assert!(message.contains("zk.test:2181 (the name has no address)"), "{message}");
}

#[tokio::test]
async fn a_limited_number_of_rounds_ends_the_attempt_before_the_connect_timeout() {
    let resolver = Resolver::of(&[&[unused(2).await, unused(3).await]]);
    let builder = client(&resolver, 1).connect_timeout(Duration::from_secs(3_600));
    let error = soon(builder.connect_rounds(4.try_into().unwrap()).connect()).await.unwrap_err();
    let Error::Unreachable { within, tried } = &error else { panic!("{error}") };
    assert!(*within < Duration::from_secs(20), "{error}");
    let cause = tried[0].cause.as_deref().unwrap();
    assert_eq!(cause.matches("Connection refused").count(), 2, "{error}");
}

#[tokio::test]
async fn the_resolver_of_the_system_gives_every_address_once() {
    let addresses = soon(TcpConnect.resolve("127.0.0.1:2181")).await.unwrap();
    assert_eq!(addresses, ["127.0.0.1:2181"]);
    let mut addresses = soon(TcpConnect.resolve("localhost:2181")).await.unwrap();
    assert!(addresses.contains(&"127.0.0.1:2181".to_owned()), "{addresses:?}");
    let found = addresses.len();
    addresses.sort_unstable();
    addresses.dedup();
    assert_eq!(addresses.len(), found);
}
