//! Registries on the clock of a server that a test holds and moves.

use std::time::Duration;

use registry::{Builder, Registration, Registry};
use zk_mini::{On, Then, ZkMini};

use crate::support::{at, members, ports, server, soon};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3_600);

/// Configures a registry on the server's clock.
fn following(zk: &ZkMini) -> Builder {
    Registry::builder().embedded(zk).session_timeout(4 * SECOND)
}

async fn connected(zk: &ZkMini, seed: u64) -> Registry {
    soon(following(zk).seed(seed).connect()).await.unwrap()
}

#[tokio::test]
async fn a_subscriber_lives_for_an_hour_and_hears_of_an_instance_that_falls_silent() {
    let zk = server().await;
    let (services, caller) = (connected(&zk, 1).await, connected(&zk, 2).await);
    let registration = soon(services.register("echo", at(1))).await.unwrap();
    let _stays = soon(caller.register("echo", at(2))).await.unwrap();
    let mut echo = soon(caller.subscribe("echo")).await.unwrap();
    let sessions = (services.credentials(), caller.credentials());
    soon(zk.advance(HOUR)).await;
    assert_eq!(ports(&echo.current()), [1, 2]);
    assert_eq!((services.credentials(), caller.credentials()), sessions);

    let session = zk.session_of(&registration.path().unwrap()).unwrap();
    session.freeze();
    soon(zk.advance(6 * SECOND)).await;
    members(&mut echo, |members| ports(members) == [2]).await;
    // Its client has given the silent connection up, and learns on another one that the session is gone.
    session.thaw().await;
    soon(zk.advance(6 * SECOND)).await;
    members(&mut echo, |members| ports(members) == [1, 2]).await;
    assert_ne!(services.credentials(), sessions.0);
    assert_eq!(caller.credentials(), sessions.1);
}

#[tokio::test]
async fn pauses_of_a_registration_pass_in_simulated_time() {
    let zk = server().await;
    let registry = connected(&zk, 1).await;
    let refused = zk.fault(On::create("/echo/**"), Then::fail(zk_wire::ErrorCode::OPERATION_TIMEOUT));
    let registering = tokio::spawn(async move { registry.register("echo", at(1)).await });
    soon(zk.advance(HOUR)).await;
    let tries = refused.fired();
    assert!((500..2_000).contains(&tries), "pauses of up to five seconds: {tries}");
    drop(refused);
    soon(zk.advance(5 * SECOND)).await;
    let registration = soon(registering).await.unwrap().unwrap();
    assert!(registration.path().is_some_and(|path| zk.get(&path).is_some()));
}

/// Lets registries register, break off and expire while time moves; returns all that the server saw, and the ends.
async fn story() -> String {
    let zk = server().await;
    let registries = [connected(&zk, 1).await, connected(&zk, 2).await, connected(&zk, 3).await];
    let mut registrations: Vec<Registration> = Vec::new();
    let mut subscriptions = Vec::new();
    for (port, registry) in (1..).zip(&registries) {
        registrations.push(soon(registry.register("echo", at(port))).await.unwrap());
        subscriptions.push(soon(registry.subscribe("echo")).await.unwrap());
    }
    let faults = [
        zk.fault(On::any().probability(0.02, 3), Then::disconnect()),
        zk.fault(On::create("/**").probability(0.3, 4), Then::apply_and_lose_reply()),
    ];
    for round in 0..10 {
        let silent = zk.sessions()[round % 3].id;
        let silent = zk.session(silent).unwrap();
        silent.freeze();
        soon(zk.advance(7 * SECOND)).await;
        silent.thaw().await;
        soon(zk.advance(30 * SECOND)).await;
    }
    drop(faults);
    soon(zk.advance(60 * SECOND)).await;
    for echo in &mut subscriptions {
        members(echo, |members| ports(members) == [1, 2, 3]).await;
    }
    format!("{}\n{:?}", zk.history(), zk.now())
}

#[tokio::test]
async fn registries_and_their_server_act_in_the_same_order_each_time() {
    let first = story().await;
    assert!(first.contains("expired"), "{first}");
    assert_eq!(story().await, first);
}
