//! Locks: their ends, one by one.

use std::time::Duration;

use zk_client::{Acl, Client, CreateMode, ErrorCode, Perms, connect_fn};
use zk_mini::testing::in_virtual_time;
use zk_mini::{On, Then, ZkMini};
use zk_recipes::{Error, Holding, Lock, Loss};

use crate::support::{
    TIMEOUT, builder, client, count, elsewhere, ends_without_a_server, quiet, soon, until, with_server,
};

const PATH: &str = "/locks/report";

#[test]
fn a_lock_is_held_by_one_and_then_by_the_next_with_a_higher_token() {
    with_server(async |zk| {
        let (ada, bob) = (client(zk).await, client(zk).await);
        let lock = Lock::new(&ada, PATH).identity("ada");
        let first = soon(lock.acquire()).await.unwrap();
        assert!(first.is_held());

        let other = Lock::new(&bob, PATH).identity("bob");
        assert!(soon(other.try_acquire()).await.unwrap().is_none());
        assert_eq!(count(zk, PATH), 1, "it left nothing");
        let waiting = tokio::spawn(async move { other.acquire().await.unwrap() });
        until(zk, |zk| count(zk, PATH) == 2).await;
        assert_eq!(lock.contenders().await.unwrap(), ["ada", "bob"]);

        let token = first.fencing_token();
        soon(first.release()).await.unwrap();
        let second = soon(waiting).await.unwrap();
        assert!(second.is_held() && second.fencing_token() > token);
        assert_eq!(zk.get(second.path()).unwrap().0, "bob");
    });
}

#[test]
fn a_release_says_whether_the_end_of_a_closed_client_was_confirmed() {
    with_server(async |zk| {
        let (ada, bob) = (client(zk).await, client(zk).await);
        let confirmed = soon(Lock::new(&ada, PATH).acquire()).await.unwrap();
        soon(ada.close()).await.unwrap();
        soon(confirmed.release()).await.unwrap();

        let unknown = soon(Lock::new(&bob, PATH).acquire()).await.unwrap();
        zk.take_down().await;
        soon(bob.close_within(Duration::from_millis(10))).await.unwrap_err();
        let error = soon(unknown.release()).await.unwrap_err();
        assert!(matches!(error, Error::Client { .. }), "{error}");
    });
}

#[test]
fn a_lock_outlives_the_runtime_in_which_it_was_taken_and_is_lost_with_that_of_its_client() {
    with_server(async |zk| {
        let lock = Lock::new(&client(zk).await, PATH);
        let taking = lock.clone();
        let guard = elsewhere(async move { taking.acquire().await.unwrap() }).await;
        assert!(guard.is_held());
        std::thread::spawn(move || drop(guard)).join().unwrap();
        soon(lock.acquire()).await.unwrap().release().await.unwrap();

        let other = builder(zk);
        let taking = async move { Lock::new(&other.connect().await.unwrap(), PATH).acquire().await.unwrap() };
        let guard = elsewhere(taking).await;
        assert_eq!(soon(guard.lost()).await, Holding::Lost(Loss::Closed));
        assert!(!guard.is_held());
        assert!(soon(guard.release()).await.is_err(), "its node lasts as long as the session");
    });
}

#[test]
fn a_dropped_guard_releases_in_the_background_even_while_the_server_is_away() {
    with_server(async |zk| {
        let (ada, bob) = (client(zk).await, client(zk).await);
        let guard = soon(Lock::new(&ada, PATH).acquire()).await.unwrap();
        zk.take_down().await;
        drop(guard);
        tokio::time::sleep(TIMEOUT / 4).await;
        zk.bring_up().await.unwrap();
        let started = tokio::time::Instant::now();
        assert!(soon(Lock::new(&bob, PATH).acquire()).await.unwrap().is_held());
        assert!(started.elapsed() < TIMEOUT, "nobody waited for the end of the session");
    });
}

#[test]
fn a_dropped_guard_does_not_keep_its_client() {
    with_server(async |zk| {
        let ada = client(zk).await;
        let guard = soon(Lock::new(&ada, PATH).acquire()).await.unwrap();
        ends_without_a_server(zk, ada, guard).await;
    });
}

#[test]
fn a_guard_keeps_its_client() {
    with_server(async |zk| {
        let ada = client(zk).await;
        let guard = soon(Lock::new(&ada, PATH).acquire()).await.unwrap();
        drop(ada);
        tokio::time::sleep(3 * TIMEOUT).await;
        assert!(guard.is_held());
        soon(guard.release()).await.unwrap();
        assert_eq!(count(zk, PATH), 0);
    });
}

#[test]
fn a_lost_reply_to_the_create_makes_no_second_node() {
    with_server(async |zk| {
        let ada = client(zk).await;
        ada.ensure_path(PATH).await.unwrap();
        let fault = zk.fault(On::create("/locks/**").times(1), Then::apply_and_lose_reply());
        let guard = soon(Lock::new(&ada, PATH).acquire()).await.unwrap();
        assert_eq!(fault.fired(), 1);
        assert!(guard.is_held());
        assert_eq!(count(zk, PATH), 1);
    });
}

#[test]
fn a_lost_reply_to_the_delete_releases_all_the_same() {
    with_server(async |zk| {
        let ada = client(zk).await;
        let guard = soon(Lock::new(&ada, PATH).acquire()).await.unwrap();
        let fault = zk.fault(On::delete("/locks/**").times(1), Then::apply_and_lose_reply());
        soon(guard.release()).await.unwrap();
        assert_eq!((fault.fired(), count(zk, PATH)), (1, 0));
    });
}

#[test]
fn a_holder_hears_that_its_session_has_expired() {
    with_server(async |zk| {
        let ada = client(zk).await;
        let mut guard = soon(Lock::new(&ada, PATH).acquire()).await.unwrap();
        zk.session_of(guard.path()).unwrap().expire().await;
        soon(async { while guard.changed().await != Holding::Lost(Loss::SessionExpired) {} }).await;
        assert!(!guard.is_held());
        assert_eq!(guard.lost().await, Holding::Lost(Loss::SessionExpired));
        quiet().await;
        assert_eq!(count(zk, PATH), 0, "it does not queue again by itself");
    });
}

#[test]
fn a_holder_hears_that_its_node_was_deleted_by_hand() {
    with_server(async |zk| {
        let ada = client(zk).await;
        let mut guard = soon(Lock::new(&ada, PATH).acquire()).await.unwrap();
        quiet().await;
        zk.delete(guard.path()).await.unwrap();
        while !matches!(soon(guard.changed()).await, Holding::Lost(_)) {}
        assert_eq!(guard.holding(), Holding::Lost(Loss::Deleted));
        soon(guard.release()).await.unwrap();
    });
}

#[test]
fn a_holder_without_a_connection_is_unsure_until_it_is_back() {
    with_server(async |zk| {
        let ada = client(zk).await;
        let mut guard = soon(Lock::new(&ada, PATH).acquire()).await.unwrap();
        zk.take_down().await;
        assert_eq!(soon(guard.lost()).await, Holding::Unsure);
        assert_eq!(guard.changed().await, Holding::Unsure);
        zk.bring_up().await.unwrap();
        assert_eq!(soon(guard.changed()).await, Holding::Held);
        assert_eq!(count(zk, PATH), 1);
    });
}

#[test]
fn a_frozen_holder_is_unsure_before_another_one_holds() {
    with_server(async |zk| {
        let (ada, bob) = (client(zk).await, client(zk).await);
        let mut first = soon(Lock::new(&ada, PATH).acquire()).await.unwrap();
        let session = zk.session_of(first.path()).unwrap();
        session.freeze();
        let second = soon(Lock::new(&bob, PATH).acquire()).await.unwrap();
        assert!(second.is_held() && !first.is_held());
        session.thaw().await;
        while !matches!(soon(first.changed()).await, Holding::Lost(_)) {}
        assert!(second.is_held());
    });
}

#[test]
fn a_waiter_whose_session_expires_or_whose_node_is_deleted_queues_again() {
    with_server(async |zk| {
        let (ada, bob) = (client(zk).await, client(zk).await);
        let first = soon(Lock::new(&ada, PATH).acquire()).await.unwrap();
        let other = Lock::new(&bob, PATH).identity("bob");
        let waiting = tokio::spawn(async move { other.acquire().await.unwrap() });
        until(zk, |zk| count(zk, PATH) == 2).await;

        let waits = |zk: &zk_mini::Handle, before: &str| {
            let mut names = zk.children(PATH).unwrap_or_default();
            names.retain(|name| !before.contains(name.as_str()) && !first.path().ends_with(name.as_str()));
            names.pop()
        };
        let bobs = waits(zk, "").unwrap();
        zk.session_of(&format!("{PATH}/{bobs}")).unwrap().expire().await;
        until(zk, |zk| waits(zk, &bobs).is_some()).await;

        let again = waits(zk, &bobs).unwrap();
        zk.delete(&format!("{PATH}/{again}")).await.unwrap();
        soon(first.release()).await.unwrap();
        let second = soon(waiting).await.unwrap();
        assert!(second.is_held() && count(zk, PATH) == 1);
    });
}

#[test]
fn a_waiter_that_gives_up_leaves_nothing() {
    with_server(async |zk| {
        let (ada, bob) = (client(zk).await, client(zk).await);
        let first = soon(Lock::new(&ada, PATH).acquire()).await.unwrap();
        let mark = zk.mark();
        let lock = Lock::new(&bob, PATH);
        assert!(lock.acquire_within(Duration::from_secs(3)).await.unwrap().is_none());
        until(zk, |zk| count(zk, PATH) == 1).await;

        // Dropped at any moment, also while its create is under way.
        for steps in 0..12 {
            let mut acquire = Box::pin(lock.acquire());
            for _ in 0..steps {
                let polled = std::future::poll_fn(|cx| {
                    assert!(acquire.as_mut().poll(cx).is_pending());
                    std::task::Poll::Ready(())
                });
                polled.await;
                tokio::task::yield_now().await;
            }
        }
        quiet().await;
        assert_eq!(count(zk, PATH), 1);
        assert!(first.is_held());
        soon(first.release()).await.unwrap();
        assert_eq!(zk.no_ephemerals_of_the_dead(), Ok(()));
        zk.no_leaked_sessions(&mark).unwrap();
    });
}

#[test]
fn a_waiter_with_a_limit_gets_the_lock_that_becomes_free_in_time() {
    with_server(async |zk| {
        let (ada, bob) = (client(zk).await, client(zk).await);
        let first = soon(Lock::new(&ada, PATH).acquire()).await.unwrap();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(2)).await;
            first.release().await.unwrap();
        });
        let second = Lock::new(&bob, PATH).acquire_within(Duration::from_secs(3)).await.unwrap();
        assert!(second.is_some_and(|guard| guard.is_held()));
    });
}

#[test]
fn a_limited_wait_ends_when_a_held_clock_is_moved() {
    in_virtual_time(async {
        let zk = ZkMini::builder().in_memory().manual_clock().seed(7).start().await.unwrap();
        let connector = zk.connector();
        let via = connect_fn(move || std::future::ready(connector.connect()));
        let client = Client::builder().via(via).clock(zk.clock()).connect().await.unwrap();
        let held = Lock::new(&client, PATH).acquire().await.unwrap();
        let lock = Lock::new(&client, PATH);
        let waiting = tokio::spawn(async move { lock.acquire_within(Duration::from_secs(3)).await.unwrap() });
        until(&zk, |zk| count(zk, PATH) == 2).await;
        zk.advance(Duration::from_millis(2_999)).await;
        assert!(!waiting.is_finished());
        zk.advance(Duration::from_millis(1)).await;
        assert!(soon(waiting).await.unwrap().is_none());
        assert!(held.is_held());
    });
}

#[test]
fn the_node_goes_with_a_client_that_is_closed_and_others_are_told() {
    with_server(async |zk| {
        let (ada, bob) = (client(zk).await, client(zk).await);
        let first = soon(Lock::new(&ada, PATH).acquire()).await.unwrap();
        let other = Lock::new(&bob, PATH);
        let waiting = tokio::spawn(async move { other.acquire().await.unwrap() });
        until(zk, |zk| count(zk, PATH) == 2).await;
        ada.close().await.unwrap();
        assert_eq!(soon(first.lost()).await, Holding::Lost(Loss::Closed));
        soon(first.release()).await.unwrap();
        assert!(soon(waiting).await.unwrap().is_held());

        let closed = soon(Lock::new(&ada, PATH).acquire()).await.unwrap_err();
        assert!(closed.is_session_over() && !closed.is_retryable(), "{closed}");
    });
}

#[test]
fn a_lock_that_the_servers_refuse_is_an_error_that_names_it() {
    with_server(async |zk| {
        let ada = client(zk).await;
        let read_only = Acl { perms: Perms::READ, ..Acl::open() };
        ada.create_with_acl("/mine", "", CreateMode::Persistent, &[read_only]).await.unwrap();
        let refused = soon(Lock::new(&ada, "/mine").acquire()).await.unwrap_err();
        assert_eq!(refused.code(), Some(ErrorCode::NO_AUTH));
        assert!(refused.to_string().starts_with("lock /mine: create2 /mine/_c_"), "{refused}");
        let invalid = soon(Lock::new(&ada, "no/slash").acquire()).await.unwrap_err();
        assert!(!invalid.is_retryable(), "{invalid}");
    });
}
