//! Clients on the clock of a server that a test holds and moves.

use std::num::NonZeroU32;
use std::time::Duration;

use tokio::time::Instant;
use zk_client::{Builder, Client, CreateMode, Error, SessionState};
use zk_mini::{On, Then, ZkMini};
use zk_wire::Millis;

use crate::support::{client_of, server, soon, until};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3_600);
const TIMEOUT: Duration = Duration::from_secs(4);

/// Configures a client on the server's clock.
fn following(zk: &ZkMini) -> Builder {
    client_of(zk).clock(zk.clock()).session_timeout(TIMEOUT)
}

async fn connected(builder: Builder) -> Client {
    soon(builder.connect()).await.unwrap()
}

async fn an_observer_lives_and_hears_of_a_frozen_leader(zk: &ZkMini, observer: Client, leader: Client) {
    leader.create("/leader", "me", CreateMode::Ephemeral).await.unwrap();
    let (session, watching) = (observer.credentials(), observer.exists_and_watch("/leader"));
    let (_, mut watch) = soon(watching).await.unwrap();

    soon(zk.advance(12 * SECOND)).await;
    soon(zk.advance(HOUR)).await;
    assert_eq!(zk.sessions().len(), 2, "both have pinged all the time");
    assert!(soon(observer.exists("/leader")).await.unwrap().is_some());

    let frozen = zk.session_of("/leader").unwrap();
    frozen.freeze();
    let silent_since = zk.now().mono;
    while zk.get("/leader").is_some() {
        soon(zk.advance_to_next_deadline()).await.unwrap();
    }
    let silence = zk.now().mono.since(silent_since);
    assert!((4_000..=6_000).contains(&silence.0), "its last word was heard before the freeze: {silence:?}");
    assert_eq!(zk.now().mono.0 % 2_000, 0, "at a tick, and not at a ping");
    soon(watch.changed()).await.unwrap();
    assert_eq!(observer.credentials(), session);
}

#[tokio::test]
async fn in_memory_an_observer_lives_through_an_hour_and_a_frozen_session_does_not() {
    let zk = server().await;
    let (observer, leader) = (connected(following(&zk)).await, connected(following(&zk)).await);
    an_observer_lives_and_hears_of_a_frozen_leader(&zk, observer, leader).await;
}

async fn over_tcp() {
    let zk = ZkMini::builder().seed(7).manual_clock().start().await.unwrap();
    let client = || Client::builder().servers(zk.connect_string()).clock(zk.clock()).session_timeout(TIMEOUT);
    let (observer, leader) = (connected(client()).await, connected(client()).await);
    an_observer_lives_and_hears_of_a_frozen_leader(&zk, observer, leader).await;
}

#[tokio::test]
async fn over_tcp_an_observer_lives_through_an_hour_and_a_frozen_session_does_not() {
    over_tcp().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_several_threads_an_observer_lives_through_an_hour_and_a_frozen_session_does_not() {
    over_tcp().await;
}

#[tokio::test]
async fn a_client_with_a_clock_of_its_own_expires_as_ever() {
    let zk = server().await;
    let own = connected(client_of(&zk).session_timeout(TIMEOUT)).await;
    let following = connected(following(&zk)).await;
    soon(zk.advance(12 * SECOND)).await;
    assert_eq!(zk.sessions().len(), 1);
    assert_eq!(zk.sessions()[0].id, following.credentials().unwrap().id);
    drop(own);
}

/// Lets two clients work, break off and come back while time moves; returns all that the server saw.
async fn story(zk: ZkMini) -> String {
    let mark = zk.mark();
    let clients = [connected(following(&zk).seed(1)).await, connected(following(&zk).seed(2)).await];
    let faults = zk.fault(On::any().probability(0.02, 3), Then::disconnect());
    for round in 0..20 {
        for (index, client) in clients.iter().enumerate() {
            let path = format!("/{index}-");
            // A fault may fail it.
            let _ = soon(client.create(&path, "", CreateMode::PersistentSequential)).await;
        }
        soon(zk.advance(SECOND * round)).await;
    }
    drop(faults);
    format!("{}\n{:?}", zk.history().since(&mark), zk.now())
}

#[tokio::test]
async fn two_clients_and_a_server_act_in_the_same_order_each_time() {
    let first = story(server().await).await;
    assert_eq!(story(server().await).await, first);
}

#[tokio::test]
async fn a_released_clock_runs_for_clients_too_and_can_be_held_again() {
    let zk = server().await;
    let client = connected(following(&zk)).await;
    soon(zk.advance(HOUR)).await;
    zk.release_clock();
    let clock = client.clock();
    let at = clock.now();
    soon(clock.sleep_until(Some(at + Millis(5)))).await;
    assert!(zk.now().mono >= at);
    zk.hold_clock().await;
    let held = clock.now();
    assert_eq!(held, zk.now().mono);
    soon(zk.advance(HOUR)).await;
    assert_eq!(clock.now().since(held).0, 3_600_000);
    assert!(matches!(client.state(), SessionState::Connected(_)));
}

#[tokio::test]
async fn a_client_whose_runtime_has_ended_or_rests_does_not_hold_up_time() {
    let zk = server().await;
    let observer = connected(following(&zk)).await;
    let elsewhere = async || {
        let builder = following(&zk);
        let connect = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let client = runtime.block_on(connected(builder));
            (runtime, client)
        };
        tokio::task::spawn_blocking(connect).await.unwrap()
    };
    let ((ended, _one), (resting, _other)) = (elsewhere().await, elsewhere().await);
    ended.shutdown_background();
    soon(zk.advance(HOUR)).await;
    assert_eq!(zk.sessions().len(), 1);
    assert_eq!(zk.sessions()[0].id, observer.credentials().unwrap().id);
    let began = Instant::now();
    soon(zk.advance(HOUR)).await;
    assert!(began.elapsed() < 10 * SECOND, "the one that rests is known: {:?}", began.elapsed());
    resting.shutdown_background();
}

#[tokio::test]
async fn pauses_between_attempts_pass_in_simulated_time() {
    let zk = server().await;
    let refusing = zk.fault(On::connect(), Then::refuse());
    let rounds = NonZeroU32::new(20).unwrap();
    let began = Instant::now();
    let builder = following(&zk).connect_timeout(HOUR).connect_rounds(rounds);
    let connecting = tokio::spawn(builder.connect());
    soon(async {
        while !connecting.is_finished() {
            zk.advance_to_next_deadline().await;
        }
    })
    .await;
    let error = connecting.await.unwrap().unwrap_err();
    let Error::Unreachable { within, .. } = error else { panic!("{error}") };
    assert!(within > 10 * SECOND, "{within:?}");
    assert!(began.elapsed() < 10 * SECOND);
    drop(refusing);
}

#[tokio::test]
async fn the_connect_timeout_is_one_of_simulated_time() {
    let zk = server().await;
    zk.freeze();
    let connecting = tokio::spawn(following(&zk).connect_timeout(HOUR).connect());
    soon(zk.advance(HOUR - SECOND)).await;
    assert!(!connecting.is_finished());
    soon(zk.advance(SECOND)).await;
    let error = soon(connecting).await.unwrap().unwrap_err();
    assert!(matches!(error, Error::Unreachable { within: HOUR, .. }), "{error}");
}

#[tokio::test]
async fn a_client_outlives_the_clock_of_a_server_that_stops() {
    let zk = server().await;
    let client = connected(following(&zk).session_timeout(SECOND)).await;
    drop(zk);
    until(&client, |state| matches!(state, SessionState::Disconnected(_))).await;
    soon(client.close_within(Duration::from_millis(20))).await.unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn the_shared_clock_follows_tokios_paused_one_and_can_be_held_there() {
    let zk = ZkMini::builder().in_memory().auto_advance().seed(7).start().await.unwrap();
    let client = following(&zk).connect().await.unwrap();
    let session = client.credentials();
    tokio::time::sleep(HOUR).await;
    assert_eq!(client.clock().now(), zk.now().mono);
    assert!(client.exists("/nothing").await.unwrap().is_none());

    zk.hold_clock().await;
    zk.advance(HOUR).await;
    assert!(client.exists("/nothing").await.unwrap().is_none());
    zk.release_clock();
    tokio::time::sleep(HOUR).await;
    assert_eq!(client.credentials(), session);
    assert_eq!(zk.now().mono.0, 3 * 3_600_000);
}

#[tokio::test]
async fn tasks_that_use_a_client_may_react_before_time_goes_on() {
    let zk = server().await;
    let (client, other) = (connected(following(&zk)).await, connected(following(&zk)).await);
    other.create("/turn", "", CreateMode::Persistent).await.unwrap();
    let (clock, worker) = (zk.clock(), client.clone());
    // A task that does not take part: it writes at each change that it hears of.
    let (_, _, mut watch) = client.get_and_watch("/turn").await.unwrap();
    let echo = tokio::spawn(async move {
        watch.changed().await.unwrap();
        worker.create("/echo", "", CreateMode::Persistent).await.unwrap().stat.ctime
    });
    let setter = tokio::spawn(async move {
        clock.sleep(SECOND).await;
        other.set("/turn", "yours", zk_client::Expected::Any).await.unwrap().mtime
    });
    soon(zk.advance(HOUR)).await;
    assert_eq!(setter.await.unwrap(), echo.await.unwrap());
}
