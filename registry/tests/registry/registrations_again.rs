//! States of a registration with their reasons, updates in place, and the way back after a loss.

use std::time::Duration;

use registry::{
    Error, Instance, LossReason, OnDelete, RegisterOptions, RegistrationState, Registry, Status,
    WithdrawReason,
};
use tokio::task::JoinSet;
use tokio::time::Instant;
use zk_mini::testing::in_virtual_time;
use zk_mini::{On, Then, ZkMini};
use zk_wire::{ErrorCode, OpCode};

use crate::support::{Way, at, builder, members, nodes, ports, reached, registry, server, soon};

fn is_registered(state: &RegistrationState) -> bool {
    matches!(state, RegistrationState::Registered { .. })
}

#[tokio::test]
async fn every_change_of_state_tells_its_reason() {
    let zk = server().await;
    let registry = registry(&zk).await;
    let mut registration = soon(registry.register("demo", at(1))).await.unwrap();
    let silence = || zk.fault(On::create("/demo/*"), Then::delay(Duration::from_secs(1)));
    for (reason, by_hand) in [(LossReason::NodeDeleted, true), (LossReason::SessionExpired, false)] {
        let held = silence();
        let path = registration.path().unwrap();
        if by_hand {
            zk.delete(&path).await.unwrap();
        } else {
            zk.session_of(&path).unwrap().expire().await;
        }
        let lost = RegistrationState::Reregistering(reason);
        assert_eq!(soon(registration.changed()).await, Some(lost));
        soon(held.until_fired()).await.unwrap();
        zk.advance(Duration::from_secs(1)).await;
        assert!(is_registered(&soon(registration.changed()).await.unwrap()));
    }
    soon(registry.close()).await.unwrap();
    assert_eq!(soon(registration.changed()).await, Some(RegistrationState::Closed));
    assert_eq!(soon(registration.changed()).await, None);
}

#[tokio::test]
async fn a_refusal_to_register_again_is_a_reason_and_ends_with_the_refusal() {
    let zk = server().await;
    let registry = registry(&zk).await;
    let mut registration = soon(registry.register("demo", at(1))).await.unwrap();
    let refused = zk.fault(On::create("/demo/*"), Then::fail(ErrorCode::NO_AUTH));
    zk.delete(&registration.path().unwrap()).await.unwrap();
    let is_refused = |state: &RegistrationState| {
        let RegistrationState::Reregistering(LossReason::Refused(why)) = state else { return false };
        why.contains("not authorised")
    };
    reached(&mut registration, is_refused).await;
    drop(refused);
    reached(&mut registration, is_registered).await;
    assert_eq!(nodes(&zk).len(), 1);
}

#[tokio::test]
async fn a_node_deleted_by_hand_is_honoured_as_a_drain_if_that_is_wanted() {
    let zk = server().await;
    let registry = registry(&zk).await;
    let options = RegisterOptions::default().on_delete(OnDelete::Drain);
    let mut registration = soon(registry.register_with("demo", at(1), options)).await.unwrap();
    zk.delete(&registration.path().unwrap()).await.unwrap();
    let withdrawn = RegistrationState::Withdrawn(WithdrawReason::Deleted);
    assert_eq!(soon(registration.changed()).await, Some(withdrawn));
    assert_eq!(soon(registration.changed()).await, None);
    assert!(matches!(soon(registration.update(at(2))).await, Err(Error::Withdrawn)));
    assert_eq!(nodes(&zk), [""; 0]);
}

#[tokio::test]
async fn an_expired_session_is_no_drain_by_hand() {
    let zk = server().await;
    let registry = registry(&zk).await;
    let options = RegisterOptions::default().id("a").on_delete(OnDelete::Drain);
    let mut registration = soon(registry.register_with("demo", at(1), options)).await.unwrap();
    let session = zk.session_of("/demo/a").unwrap();
    session.expire().await;
    // The state may be the same before and after, and be seen only so: the node tells.
    zk.wait_for(
        |zk| zk.get("/demo/a").is_some_and(|(_, stat)| stat.ephemeral_owner != session.id()),
        Duration::from_secs(60),
    )
    .await
    .unwrap();
    reached(&mut registration, is_registered).await;
}

#[tokio::test]
async fn the_newest_data_wins_over_lost_replies_an_expiry_and_updates_at_once() {
    let zk = server().await;
    for id in [None, Some("a")] {
        let way = Way::to(&zk);
        let registry = way.registry().await;
        let options = RegisterOptions::default();
        let options = if let Some(id) = id { options.id(id) } else { options };
        let registration = soon(registry.register_with("demo", at(1), options)).await.unwrap();
        let lost = [
            zk.fault(On::set_data("/demo/*").nth(1), Then::apply_and_lose_reply()),
            zk.fault(On::create("/demo/*").nth(1), Then::apply_and_lose_reply()),
            zk.fault(On::set_data("/demo/*").nth(2), Then::disconnect()),
        ];
        let updates = async {
            for port in 2..20 {
                registration.update(at(port)).await.unwrap();
            }
        };
        let expiry = async {
            lost[0].until_fired().await.unwrap();
            for session in zk.sessions_where(|session| !session.ephemerals.is_empty()).iter() {
                session.expire().await;
            }
        };
        soon(async { tokio::join!(updates, expiry) }).await;
        assert_eq!(nodes(&zk), [r#"{"host":"127.0.0.1","port":19}"#], "one node with the newest data");
        assert!(lost[..2].iter().all(|fault| fault.fired() == 1));
        soon(registration.withdraw()).await.unwrap();
    }
}

#[tokio::test]
async fn many_updates_at_once_are_few_writes() {
    let zk = server().await;
    let way = Way::to(&zk);
    let registry = way.registry().await;
    let registration = soon(registry.register("demo", at(1))).await.unwrap();
    let mark = zk.mark();
    let registration = &registration;
    let mut updates: Vec<_> = (2..=100).map(|port| Box::pin(registration.update(at(port)))).collect();
    soon(std::future::poll_fn(|cx| {
        updates.retain_mut(|update| match update.as_mut().poll(cx) {
            std::task::Poll::Ready(done) => {
                done.unwrap();
                false
            }
            std::task::Poll::Pending => true,
        });
        if updates.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    }))
    .await;
    assert_eq!(nodes(&zk), [r#"{"host":"127.0.0.1","port":100}"#]);
    assert!(way.requests(OpCode::SET_DATA, &mark).await <= 2);
}

#[tokio::test]
async fn a_status_and_a_weight_change_in_place_and_leave_the_rest() {
    let zk = server().await;
    let registry = registry(&zk).await;
    let registration = soon(registry.register("demo", at(1).with_zone("a"))).await.unwrap();
    let path = registration.path();
    soon(registration.set_status(Status::Draining)).await.unwrap();
    soon(registration.set_weight(7)).await.unwrap();
    let instance = Instance::from_json(nodes(&zk)[0].as_bytes()).unwrap();
    assert_eq!(instance, at(1).with_zone("a").with_status(Status::Draining).with_weight(7));
    assert_eq!(registration.path(), path, "it is the same node");
}

#[tokio::test]
async fn a_warm_up_is_written_with_the_time_of_the_registration_and_outlives_updates() {
    let zk = server().await;
    let registry = registry(&zk).await;
    let options = RegisterOptions::default().warm_up(Duration::from_secs(30));
    let registration = soon(registry.register_with("demo", at(1).with_weight(100), options)).await.unwrap();
    let written = || Instance::from_json(nodes(&zk)[0].as_bytes()).unwrap();
    let started = written().get("started_ms").unwrap().as_u64().unwrap();
    assert_eq!(written().weight_at(started + 15_000), 50);
    soon(registration.update(at(2).with_weight(10))).await.unwrap();
    assert_eq!(written().weight_at(started + 15_000), 5);
}

#[tokio::test]
async fn a_service_removed_while_the_registry_is_used_is_made_again_for_every_instance() {
    let zk = server().await;
    let registry = soon(builder(&zk).root("team/services").connect()).await.unwrap();
    let first = soon(registry.register("demo", at(1))).await.unwrap();
    zk.delete_recursive("/team").await.unwrap();
    let second = soon(registry.register("demo", at(2))).await.unwrap();
    let mut observer = soon(registry.subscribe("demo")).await.unwrap();
    members(&mut observer, |members| ports(members) == [1, 2]).await;
    drop((first, second));
}

/// Returns the time from the return of a server, after it was away, until the instance is registered.
async fn way_back(seed: u64, away: Duration) -> Duration {
    let zk = ZkMini::builder().in_memory().auto_advance().seed(seed).start().await.unwrap();
    let registry = Registry::builder().embedded(&zk).seed(seed).connect().await.unwrap();
    let _registration = registry.register("demo", at(1)).await.unwrap();
    zk.take_down().await;
    tokio::time::sleep(away).await;
    // Nothing is left of the session either.
    zk.bring_up().await.unwrap();
    zk.sessions_where(|_| true).expire().await;
    let back = Instant::now();
    while nodes(&zk).is_empty() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    back.elapsed()
}

#[test]
fn an_instance_is_registered_again_within_a_second_however_long_the_registry_was_away() {
    in_virtual_time(async {
        for seed in 0..10 {
            for away in [1, 30, 600].map(Duration::from_secs) {
                let took = way_back(seed, away).await;
                assert!(took < Duration::from_secs(1), "{took:?} after {away:?}");
            }
        }
    });
}

#[test]
fn many_instances_do_not_come_back_in_the_same_moment() {
    const MANY: u16 = 500;
    in_virtual_time(async {
        let zk = ZkMini::builder().in_memory().auto_advance().seed(7).start().await.unwrap();
        let mut registrations = JoinSet::new();
        for port in 1..=MANY {
            let connected = Registry::builder().embedded(&zk).seed(port.into()).connect();
            registrations
                .spawn(async move { connected.await.unwrap().register("demo", at(port)).await.unwrap() });
        }
        let registrations = registrations.join_all().await;
        let mark = zk.mark();
        zk.sessions_where(|_| true).expire().await;
        while nodes(&zk).len() < usize::from(MANY) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let mut comers = std::collections::BTreeMap::new();
        for entry in &zk.history().since(&mark).path("/demo/**") {
            if entry.op == Some(OpCode::CREATE2) && entry.kind == zk_mini::history::EntryKind::Request {
                *comers.entry(entry.time).or_insert(0) += 1;
            }
        }
        let (span, most) = (comers.len(), comers.values().max().copied().unwrap_or_default());
        assert!(span > 50 && most < 30, "{most} of {MANY} in one of {span} milliseconds");
        drop(registrations);
    });
}
