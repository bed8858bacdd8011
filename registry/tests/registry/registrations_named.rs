//! Instances with an id: replaced and never doubled. Instances in several formats, and several instances of one program.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use registry::codec::{Codec, Curator, Json};
use registry::{
    Error, Instance, RegisterOptions, Registration, RegistrationState, Registry, SubscribeOptions,
    WithdrawReason,
};
use zk_mini::{On, Then, ZkMini};
use zk_wire::OpCode;

use crate::support::{Way, at, members, moved_from, nodes, ports, reached, registry, server, soon, stranger};

const REPLACED: RegistrationState = RegistrationState::Withdrawn(WithdrawReason::Replaced);

async fn named(registry: &Registry, instance: Instance) -> Registration {
    let options = RegisterOptions::default().id("host-7");
    soon(registry.register_with("demo", instance, options)).await.unwrap()
}

/// Returns the port of the only node.
fn port(zk: &ZkMini) -> u16 {
    let data = nodes(zk);
    assert_eq!(data.len(), 1, "{data:?}");
    Instance::from_json(data[0].as_bytes()).unwrap().port()
}

#[tokio::test]
async fn a_newer_instance_of_the_same_id_takes_the_place_and_subscribers_never_see_two_or_none() {
    let zk = server().await;
    let (older, newer) = (registry(&zk).await, registry(&zk).await);
    let mut first = named(&older, at(1)).await;
    // One follows the data of nodes, one only their coming and going.
    let mut subscriptions = Vec::new();
    for updates in [false, true] {
        let observer = registry(&zk).await;
        let options = SubscribeOptions::default().updates(updates);
        subscriptions.push(soon(observer.subscribe_with("demo", options)).await.unwrap());
    }
    let second = named(&newer, at(2)).await;
    for subscription in &mut subscriptions {
        let seen = soon(async {
            let mut seen = vec![ports(&subscription.current())];
            while seen.last() != Some(&vec![2]) {
                seen.push(ports(&subscription.changed().await.unwrap()));
            }
            seen
        });
        assert!(seen.await.iter().all(|ports| ports.len() == 1));
    }
    assert_eq!(soon(first.changed()).await, Some(REPLACED));
    assert_eq!(soon(first.changed()).await, None, "it is over");
    assert_eq!(second.path().as_deref(), Some("/demo/host-7"));
    let change = zk.explain("/demo/host-7");
    let zxids: Vec<_> = change.changes.iter().map(|change| change.zxid).collect();
    assert_eq!(zxids[1], zxids[2], "deleted and created in one transaction: {change}");
}

#[tokio::test]
async fn an_instance_that_is_replaced_before_its_registration_is_looked_at_hears_of_it() {
    let zk = server().await;
    let (older, newer) = (registry(&zk).await, registry(&zk).await);
    let mut registering = Box::pin(named(&older, at(1)));
    assert!(registering.as_mut().now_or_never().is_none());
    zk.wait_for(|zk| zk.get("/demo/host-7").is_some(), Duration::from_secs(60)).await.unwrap();
    let _second = named(&newer, at(2)).await;
    for _ in 0..5 {
        // Round trips, in which the older one sees that it is replaced.
        soon(older.discover("demo")).await.unwrap();
    }
    let mut first = registering.await;
    assert_eq!(soon(first.changed()).await, Some(REPLACED));
    assert_eq!(soon(first.changed()).await, None, "it is over");
}

#[tokio::test]
async fn a_process_that_starts_again_does_not_stand_beside_its_dead_self_until_the_session_timeout() {
    let zk = server().await;
    let way = Way::to(&zk);
    let dead = way.registry().await;
    let _dead = named(&dead, at(1)).await;
    way.cut().await;
    let mut observer = soon(registry(&zk).await.subscribe("demo")).await.unwrap();
    let alive = registry(&zk).await;
    let alive = named(&alive, at(2)).await;
    members(&mut observer, |members| ports(members) == [2]).await;
    // The end of the dead one's session takes nothing with it.
    assert_eq!(zk.sessions_where(|session| session.conn.is_none()).expire().await, 1);
    assert_eq!(port(&zk), 2);
    assert!(alive.path().is_some());
}

#[tokio::test]
async fn a_replaced_instance_neither_writes_over_the_newer_one_nor_deletes_it() {
    let zk = server().await;
    let way = Way::to(&zk);
    let (older, newer) = (way.registry().await, registry(&zk).await);
    let mut first = named(&older, at(1)).await;
    way.cut().await;
    let _second = named(&newer, at(2)).await;
    let update = first.update(at(3));
    way.mend();
    assert!(matches!(soon(update).await, Err(Error::Withdrawn)));
    reached(&mut first, |state| *state == REPLACED).await;
    soon(first.withdraw()).await.unwrap();
    assert_eq!(port(&zk), 2);
}

#[tokio::test]
async fn an_instance_that_was_away_while_another_took_its_id_does_not_fight_it() {
    let zk = server().await;
    let way = Way::to(&zk);
    let older = way.registry().await;
    let mut first = named(&older, at(1)).await;
    way.cut().await;
    zk.session_of("/demo/host-7").unwrap().expire().await;
    assert_eq!(nodes(&zk), [""; 0]);
    let newer = registry(&zk).await;
    let second = named(&newer, at(2)).await;
    way.mend();
    reached(&mut first, |state| *state == REPLACED).await;
    assert_eq!(port(&zk), 2);
    assert!(second.path().is_some());
}

#[tokio::test]
async fn a_node_that_our_expired_session_left_behind_is_replaced() {
    let zk = server().await;
    let registry = registry(&zk).await;
    let mut registration = named(&registry, at(1)).await;
    let _gap = zk.fault(On::expiry(), Then::hold_ephemerals(Duration::from_secs(3600)));
    let session = zk.session_of("/demo/host-7").unwrap();
    session.expire().await;
    let again = soon(async {
        while zk.get("/demo/host-7").unwrap().1.ephemeral_owner == session.id() {
            registration.changed().await.unwrap();
        }
    });
    again.await;
    reached(&mut registration, |state| matches!(state, RegistrationState::Registered { .. })).await;
    assert_eq!(port(&zk), 1);
}

#[tokio::test]
async fn a_replacement_whose_reply_is_lost_is_made_once() {
    let zk = server().await;
    let way = Way::to(&zk);
    let (older, newer) = (registry(&zk).await, way.registry().await);
    let _first = named(&older, at(1)).await;
    let (mark, lost) = (zk.mark(), zk.fault(On::multi().nth(1), Then::apply_and_lose_reply()));
    let second = named(&newer, at(2)).await;
    assert_eq!((lost.fired(), way.requests(OpCode::MULTI, &mark).await), (1, 1), "it was found");
    assert_eq!(port(&zk), 2);
    soon(second.withdraw()).await.unwrap();
    assert_eq!(nodes(&zk), [""; 0]);
}

#[tokio::test]
async fn a_create_of_a_fixed_name_whose_reply_is_lost_makes_one_node() {
    let zk = server().await;
    let way = Way::to(&zk);
    let registry = way.registry().await;
    zk.create("/demo", "").await.unwrap();
    let (mark, lost) = (zk.mark(), zk.fault(On::create("/demo/*").nth(1), Then::apply_and_lose_reply()));
    let _registration = named(&registry, at(1)).await;
    assert_eq!((lost.fired(), way.requests(OpCode::CREATE2, &mark).await), (1, 1), "it was found");
    assert_eq!((port(&zk), way.requests(OpCode::MULTI, &mark).await), (1, 0), "and not replaced");
}

#[tokio::test]
async fn an_instance_with_an_id_comes_back_after_an_expired_session_with_its_newest_data() {
    let zk = server().await;
    let registry = registry(&zk).await;
    let registration = named(&registry, at(1)).await;
    for round in 2..4 {
        let before = registration.credentials();
        zk.session_of("/demo/host-7").unwrap().expire().await;
        soon(registration.update(at(round))).await.unwrap();
        assert_eq!(port(&zk), round);
        assert_ne!(registration.credentials(), before);
    }
}

#[tokio::test]
async fn an_instance_in_several_formats_is_registered_updated_and_withdrawn_in_all() {
    let zk = server().await;
    let way = Way::to(&zk);
    let registry = way.registry().await;
    let curator: Arc<dyn Codec> = Arc::new(Curator::at("/discovery"));
    let options = RegisterOptions::default().id("host-7").codecs([Arc::new(Json), curator.clone()]);
    let mut registration = soon(registry.register_with("demo", at(1), options)).await.unwrap();
    let paths = ["/demo/host-7", "/discovery/demo/host-7"];
    let expected = RegistrationState::Registered { paths: paths.map(str::to_owned).to_vec() };
    assert_eq!(registration.state(), expected);
    let is_at = |wanted: u16| {
        let decoded = [
            Json.decode("host-7", &zk.get(paths[0]).unwrap().0),
            curator.decode("host-7", &zk.get(paths[1]).unwrap().0),
        ];
        decoded.map(|instance| instance.unwrap().port()) == [wanted; 2]
    };
    assert!(is_at(1));
    soon(registration.update(at(2))).await.unwrap();
    assert!(is_at(2), "both are visible when the update returns");

    // One node is deleted by hand, then the session ends.
    zk.delete(paths[1]).await.unwrap();
    reached(&mut registration, |state| *state != expected).await;
    reached(&mut registration, |state| *state == expected).await;
    let session = registration.credentials();
    zk.session_of(paths[0]).unwrap().expire().await;
    soon(async {
        while registration.credentials() == session || registration.state() != expected {
            registration.changed().await.unwrap();
        }
    })
    .await;
    assert!(is_at(2));
    soon(registration.withdraw()).await.unwrap();
    assert!(paths.iter().all(|path| zk.get(path).is_none()));
}

#[tokio::test]
async fn two_formats_that_would_write_below_one_node_are_an_error_before_anything_is_sent() {
    let zk = server().await;
    let registry = registry(&zk).await;
    let json = || -> Arc<dyn Codec> { Arc::new(Json) };
    for other in [json(), Arc::new(Curator::default())] {
        let options = RegisterOptions::default().id("host-7").codecs([json(), other]);
        let error = registry.register_with("demo", at(1), options).await.unwrap_err();
        assert!(error.to_string().starts_with("two formats write below \"/demo\": "), "{error}");
    }
    assert_eq!(zk.children("/demo"), None);
}

#[tokio::test]
async fn parents_of_curators_format_are_containers() {
    let zk = server().await;
    let way = Way::to(&zk);
    let registry = way.registry().await;
    let mark = zk.mark();
    let curator: Arc<dyn Codec> = Arc::new(Curator::at("/discovery"));
    let options = RegisterOptions::default().codecs([curator]);
    let registration = soon(registry.register_with("demo", at(1), options)).await.unwrap();
    assert!(way.requests(OpCode::CREATE_CONTAINER, &mark).await >= 2);
    // ZooKeeper removes them after the last child; they are made again with the next one.
    soon(registration.withdraw()).await.unwrap();
    zk.advance(Duration::from_secs(200)).await;
    assert_eq!(zk.children("/discovery"), None);
}

#[tokio::test]
async fn several_instances_of_one_service_by_one_registry_live_and_end_by_themselves() {
    let zk = server().await;
    let registry = registry(&zk).await;
    let mut observer = soon(registry.subscribe("demo")).await.unwrap();
    let mut registrations = Vec::new();
    for port in 1..=4 {
        registrations.push(soon(registry.register("demo", at(port))).await.unwrap());
    }
    members(&mut observer, |members| ports(members) == [1, 2, 3, 4]).await;
    soon(registrations.remove(0).withdraw()).await.unwrap();
    soon(registrations[0].update(at(20))).await.unwrap();
    let path = registrations[1].path().unwrap();
    zk.session_of(&path).unwrap().expire().await;
    for registration in &mut registrations {
        moved_from(registration, &path).await;
    }
    members(&mut observer, |members| !members.stale && ports(members) == [3, 4, 20]).await;
    assert_eq!(nodes(&zk).len(), 3);
}

#[tokio::test]
async fn an_id_that_cannot_be_a_name_is_an_error_before_anything_is_sent() {
    let zk = server().await;
    let registry = registry(&zk).await;
    let options = RegisterOptions::default().id("rack/7");
    let error = registry.register_with("demo", at(1), options).await.unwrap_err();
    assert_eq!(error.to_string(), "\"rack/7\" cannot be the id of an instance: it has a \"/\"");
    assert_eq!(zk.children("/demo"), None);
}

#[tokio::test]
async fn instances_of_forked_processes_do_not_have_the_same_random_id() {
    let zk = server().await;
    let curator: Arc<dyn Codec> = Arc::new(Curator::at("/curator"));
    let (mut registrations, mut paths) = (Vec::new(), Vec::new());
    for _ in 0..2 {
        let client = stranger(&zk).await;
        // What a fork copies.
        fastrand::seed(7);
        let options = RegisterOptions::default().codecs([Arc::clone(&curator)]);
        let registration = soon(Registry::new(client).register_with("demo", at(1), options)).await.unwrap();
        paths.push(registration.path().unwrap());
        registrations.push(registration);
    }
    assert_ne!(paths[0], paths[1]);
}
