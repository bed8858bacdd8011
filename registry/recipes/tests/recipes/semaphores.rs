//! Semaphores.

use std::num::NonZeroUsize;
use std::time::Duration;

use zk_client::CreateMode;
use zk_recipes::{Holding, Loss, Semaphore};

use crate::support::{client, count, quiet, soon, until, with_server};

const LEASES: &str = "/limits/exports/leases";
const LOCKS: &str = "/limits/exports/locks";

fn semaphore(client: &zk_client::Client) -> Semaphore {
    Semaphore::new(client, "/limits/exports", NonZeroUsize::new(2).unwrap())
}

#[test]
fn so_many_hold_a_place_and_one_that_becomes_free_goes_to_the_next() {
    with_server(async |zk| {
        let ada = client(zk).await;
        let one = soon(semaphore(&ada).identity("one").acquire()).await.unwrap();
        let two = soon(semaphore(&ada).identity("two").acquire()).await.unwrap();
        assert_eq!(semaphore(&ada).holders().await.unwrap(), ["one", "two"]);
        assert!(soon(semaphore(&ada).try_acquire()).await.unwrap().is_none());
        let within = semaphore(&ada).acquire_within(Duration::from_secs(3)).await.unwrap();
        assert!(within.is_none());
        quiet().await;
        assert_eq!((count(zk, LEASES), count(zk, LOCKS)), (2, 0), "nothing is left");

        let waiting = tokio::spawn(async move { semaphore(&ada).acquire().await.unwrap() });
        until(zk, |zk| count(zk, LEASES) == 3).await;
        soon(one.release()).await.unwrap();
        let three = soon(waiting).await.unwrap();
        quiet().await;
        assert!(two.is_held() && three.is_held());
        assert_eq!((count(zk, LEASES), count(zk, LOCKS)), (2, 0));
    });
}

#[test]
fn a_place_that_becomes_free_wakes_two_of_all_that_wait() {
    with_server(async |zk| {
        let ada = client(zk).await;
        let one = soon(semaphore(&ada).acquire()).await.unwrap();
        let _two = soon(semaphore(&ada).acquire()).await.unwrap();
        let mut waiting = tokio::task::JoinSet::new();
        for n in 1..=10 {
            let client = client(zk).await;
            waiting.spawn(async move { semaphore(&client).acquire().await.unwrap() });
            until(zk, |zk| count(zk, LOCKS) == n).await;
        }
        quiet().await;
        let mark = zk.mark();
        soon(one.release()).await.unwrap();
        let three = soon(waiting.join_next()).await.unwrap().unwrap();
        quiet().await;
        assert!(three.is_held());
        let reads = zk.history().since(&mark).filter(zk_mini::history::Entry::is_read);
        let readers: std::collections::BTreeSet<_> = reads.iter().filter_map(|entry| entry.session).collect();
        assert_eq!(readers.len(), 2, "the one at the leases, and the next one at the lock");
    });
}

#[test]
fn a_place_is_lost_with_the_session_and_goes_to_one_that_waits() {
    with_server(async |zk| {
        let (ada, bob) = (client(zk).await, client(zk).await);
        let mut one = soon(semaphore(&ada).acquire()).await.unwrap();
        let two = soon(semaphore(&bob).acquire()).await.unwrap();
        let waiting = tokio::spawn(async move { semaphore(&bob).acquire().await.unwrap() });
        until(zk, |zk| count(zk, LEASES) == 3).await;
        zk.session_of(one.path()).unwrap().expire().await;
        while soon(one.changed()).await != Holding::Lost(Loss::SessionExpired) {}
        assert!(soon(waiting).await.unwrap().is_held() && two.is_held());
    });
}

#[test]
fn a_waiter_whose_door_is_deleted_by_hand_begins_again() {
    with_server(async |zk| {
        let ada = client(zk).await;
        let one = soon(semaphore(&ada).acquire()).await.unwrap();
        let _two = soon(semaphore(&ada).acquire()).await.unwrap();
        let waiting = tokio::spawn(async move { semaphore(&ada).acquire().await.unwrap() });
        until(zk, |zk| count(zk, LEASES) == 3).await;
        quiet().await;
        let door = zk.children(LOCKS).unwrap().pop().unwrap();
        zk.delete(&format!("{LOCKS}/{door}")).await.unwrap();
        until(zk, |zk| zk.children(LOCKS).is_some_and(|now| now.len() == 1 && now[0] != door)).await;
        quiet().await;
        assert_eq!(count(zk, LEASES), 3, "the first lease of the waiter has gone");
        soon(one.release()).await.unwrap();
        assert!(soon(waiting).await.unwrap().is_held());
    });
}

#[test]
fn leases_of_curator_count() {
    with_server(async |zk| {
        let ada = client(zk).await;
        ada.ensure_path(LEASES).await.unwrap();
        let lease = format!("{LEASES}/_c_01234567-89ab-cdef-0fed-cba987654321-lease-");
        ada.create(&lease, "", CreateMode::EphemeralSequential).await.unwrap();
        let _one = soon(semaphore(&ada).try_acquire()).await.unwrap().unwrap();
        assert!(soon(semaphore(&ada).try_acquire()).await.unwrap().is_none());
    });
}
