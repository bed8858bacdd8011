//! Locks and elections live on when the server of their holder dies.

use std::time::Duration;

use integration_tests::ensemble::RealZooKeeper;
use integration_tests::wait::{PATIENCE, eventually};
use tokio::time::timeout;
use zk_client::Client;
use zk_recipes::{Election, Guard, Lock};

async fn client(zk: &RealZooKeeper) -> Client {
    // Long enough for the election of a new leader.
    let builder = Client::builder().servers(zk.connect_string()).session_timeout(Duration::from_secs(20));
    builder.connect().await.expect("a session")
}

async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.expect("done long ago")
}

/// Queues behind a holder.
async fn waiting(lock: Lock) -> tokio::task::JoinHandle<Guard> {
    let queue = lock.clone();
    let waiting = tokio::spawn(async move { lock.acquire().await.expect("the lock") });
    soon(async { while queue.contenders().await.expect("the queue").len() < 2 {} }).await;
    waiting
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_and_a_lead_survive_the_death_of_the_server_and_go_to_the_next_in_order() {
    let mut zk = RealZooKeeper::ensemble().unwrap();
    let (ada, bob) = (client(&zk).await, client(&zk).await);
    let first = soon(Lock::new(&ada, "/locks/report").acquire()).await.unwrap();
    let second = waiting(Lock::new(&bob, "/locks/report")).await;
    let mut leader = Election::new(&ada, "/election").identity("ada").stand();
    let token = soon(leader.lead()).await.unwrap();
    let mut next = Election::new(&bob, "/election").identity("bob").stand();

    let session = ada.credentials().unwrap().id;
    let server = zk.serving(session.0).unwrap();
    zk.kill(server);
    eventually("another server serves the session", PATIENCE, || {
        zk.serving(session.0).is_some_and(|now| now != server)
    });
    eventually("the lock is held again", PATIENCE, || first.is_held());
    assert_eq!(soon(leader.lead()).await.unwrap(), token, "the same turn");
    assert!(!second.is_finished() && !next.is_leader());

    let before = first.fencing_token();
    soon(first.release()).await.unwrap();
    let second = soon(second).await.unwrap();
    assert!(second.is_held() && second.fencing_token() > before);
    soon(leader.resign()).await.unwrap();
    assert!(soon(next.lead()).await.unwrap() > token);
}
