//! Registrations on a server in memory: their nodes, lost connections, replies and sessions, errors.

use std::time::Duration;

use registry::{ConnectionState, Error, Members, RegistrationState, Registry, close_session_via};
use zk_client::{Acl, CreateMode, Expected, Perms, connect_fn};
use zk_mini::{On, Then, ZkMini};
use zk_wire::{OpCode, SessionId};

use crate::support::{Way, at, members, moved_from, nodes, ports, reached, registry, server, soon, stranger};

#[tokio::test]
async fn an_instance_is_an_ephemeral_node_with_the_tutorials_json() {
    let zk = server().await;
    let registry = registry(&zk).await;
    let registration = soon(registry.register("demo", at(8080).with("pid", 7))).await.unwrap();
    assert_eq!(nodes(&zk), [r#"{"host":"127.0.0.1","pid":7,"port":8080}"#]);

    let path = registration.path().unwrap();
    let owner = zk.get(&path).unwrap().1.ephemeral_owner;
    assert_ne!(owner, SessionId::NONE);
    assert_eq!(registration.credentials().unwrap().session_id(), owner.to_string());
    assert!(path.starts_with(&format!("/demo/{:016x}", owner.0)), "{path} has the id of its session");

    soon(registration.withdraw()).await.unwrap();
    assert_eq!(nodes(&zk), [""; 0]);
}

#[tokio::test]
async fn a_service_name_may_have_slashes_and_a_root() {
    let zk = server().await;
    let registry = soon(Registry::builder().embedded(&zk).root("services").connect()).await.unwrap();
    let registration = soon(registry.register("team/demo", at(1))).await.unwrap();
    assert!(registration.path().unwrap().starts_with("/services/team/demo/"));
    assert_eq!(ports(&registry.discover("team/demo").await.unwrap()), [1]);
    assert!(registry.discover("team").await.unwrap().is_empty());
}

#[tokio::test]
async fn dropping_a_registration_withdraws_it() {
    let zk = server().await;
    let registry = registry(&zk).await;
    let registration = soon(registry.register("demo", at(1))).await.unwrap();
    let mut subscription = soon(registry.subscribe("demo")).await.unwrap();
    assert_eq!(ports(&subscription.current()), [1]);
    drop(registration);
    members(&mut subscription, Members::is_empty).await;
}

#[tokio::test]
async fn dropping_the_future_of_register_withdraws_too() {
    let zk = server().await;
    let way = Way::to(&zk);
    let registry = way.registry().await;
    way.cut().await;
    let mut connection = registry.connection();
    while connection.current() == ConnectionState::Connected {
        soon(connection.changed()).await;
    }
    let given_up = tokio::time::timeout(Duration::from_millis(1), registry.register("demo", at(1))).await;
    assert!(given_up.is_err());
    way.mend();
    // A later registration in the same session comes after all effects of the first one.
    let _second = soon(registry.register("demo", at(2))).await.unwrap();
    let mut subscription = soon(registry.subscribe("demo")).await.unwrap();
    members(&mut subscription, |members| ports(members) == [2]).await;
}

#[tokio::test]
async fn the_newest_data_is_registered_again_after_an_expired_session() {
    let zk = server().await;
    let registry = registry(&zk).await;
    let mut registration = soon(registry.register("demo", at(1))).await.unwrap();
    soon(registration.update(at(2))).await.unwrap();
    let (path, session) = (registration.path().unwrap(), registration.credentials());

    for round in 3..6 {
        let path = registration.path().unwrap();
        zk.advance(Duration::from_secs(13)).await;
        moved_from(&mut registration, &path).await;
        soon(registration.update(at(round))).await.unwrap();
        let expected = format!(r#"{{"host":"127.0.0.1","port":{round}}}"#);
        assert_eq!(nodes(&zk), [expected], "one node with the newest data");
    }
    assert_ne!(registration.path().unwrap(), path);
    assert_ne!(registration.credentials(), session);
}

#[tokio::test]
async fn an_update_without_a_connection_is_registered_by_the_next_session() {
    let zk = server().await;
    let way = Way::to(&zk);
    let registry = way.registry().await;
    let mut registration = soon(registry.register("demo", at(1))).await.unwrap();
    let path = registration.path().unwrap();

    way.cut().await;
    let given_up = tokio::time::timeout(Duration::from_millis(1), registration.update(at(2))).await;
    assert!(given_up.is_err(), "it waits");
    zk.advance(Duration::from_secs(13)).await;
    assert_eq!(nodes(&zk), [""; 0]);
    way.mend();
    moved_from(&mut registration, &path).await;
    assert_eq!(nodes(&zk), [r#"{"host":"127.0.0.1","port":2}"#]);
}

#[tokio::test]
async fn a_reconnect_of_the_same_session_changes_nothing() {
    let zk = server().await;
    let way = Way::to(&zk);
    let registry = way.registry().await;
    let registration = soon(registry.register("demo", at(1))).await.unwrap();
    let (path, zxid) = (registration.path(), zk.last_zxid());
    let mut connection = registry.connection();
    for _ in 0..3 {
        way.cut().await;
        while soon(connection.changed()).await != Some(ConnectionState::Disconnected) {}
        way.mend();
        while soon(connection.changed()).await != Some(ConnectionState::Connected) {}
        // A round trip behind all requests of the registration, if there were any.
        assert_eq!(ports(&soon(registry.discover("demo")).await.unwrap()), [1]);
    }
    assert_eq!((registration.path(), zk.last_zxid()), (path, zxid));
}

#[tokio::test]
async fn a_node_deleted_by_another_client_is_created_again() {
    let zk = server().await;
    let registry = registry(&zk).await;
    let mut registration = soon(registry.register("demo", at(1))).await.unwrap();
    let path = registration.path().unwrap();
    stranger(&zk).await.delete(&path, Expected::Any).await.unwrap();
    moved_from(&mut registration, &path).await;
    assert_eq!(nodes(&zk).len(), 1);
}

#[tokio::test]
async fn a_service_deleted_by_another_client_is_created_again() {
    let zk = server().await;
    let way = Way::to(&zk);
    let registry = way.registry().await;
    let mut registration = soon(registry.register("demo", at(1))).await.unwrap();
    let path = registration.path().unwrap();
    // Without a connection it cannot be created again before all is deleted.
    way.cut().await;
    let stranger = stranger(&zk).await;
    stranger.delete(&path, Expected::Any).await.unwrap();
    stranger.delete("/demo", Expected::Any).await.unwrap();
    way.mend();
    moved_from(&mut registration, &path).await;
    assert_eq!(nodes(&zk).len(), 1);
}

#[tokio::test]
async fn a_create_whose_reply_is_lost_makes_one_node() {
    let zk = server().await;
    let way = Way::to(&zk);
    let registry = way.registry().await;
    stranger(&zk).await.ensure_path("/demo").await.unwrap();
    let (mark, lost) = (zk.mark(), zk.fault(On::create("/demo/*").nth(1), Then::apply_and_lose_reply()));
    let registration = soon(registry.register("demo", at(1))).await.unwrap();
    assert_eq!((lost.fired(), lost.hits()[0].op), (1, Some(OpCode::CREATE2)));
    assert_eq!(way.requests(OpCode::CREATE2, &mark).await, 1, "it was found, not created again");
    assert_eq!(nodes(&zk).len(), 1);
    soon(registration.withdraw()).await.unwrap();
    assert_eq!(nodes(&zk).len(), 0);
}

#[tokio::test]
async fn a_withdrawal_whose_reply_is_lost_succeeds() {
    let zk = server().await;
    let registry = registry(&zk).await;
    let registration = soon(registry.register("demo", at(1))).await.unwrap();
    let lost = zk.fault(On::delete("/demo/*").nth(1), Then::apply_and_lose_reply());
    soon(registration.withdraw()).await.unwrap();
    assert_eq!(lost.fired(), 1);
    assert_eq!(nodes(&zk).len(), 0);
}

#[tokio::test]
async fn a_withdrawal_without_a_connection_waits_for_one() {
    let zk = server().await;
    let way = Way::to(&zk);
    let registry = way.registry().await;
    let registration = soon(registry.register("demo", at(1))).await.unwrap();
    way.cut().await;
    let withdrawal = tokio::spawn(registration.withdraw());
    assert_eq!(nodes(&zk).len(), 1);
    way.mend();
    soon(withdrawal).await.unwrap().unwrap();
    assert_eq!(nodes(&zk).len(), 0);
}

#[tokio::test]
async fn an_instance_withdrawn_during_a_reconnect_does_not_come_back() {
    for expires in [false, true] {
        let zk = server().await;
        let way = Way::to(&zk);
        let registry = way.registry().await;
        let registration = soon(registry.register("demo", at(1))).await.unwrap();
        way.cut().await;
        let mark = zk.mark();
        let withdrawal = tokio::spawn(registration.withdraw());
        if expires {
            zk.advance(Duration::from_secs(13)).await;
        }
        way.mend();
        soon(withdrawal).await.unwrap().unwrap();
        // Comes after all that the first one does.
        let _second = soon(registry.register("demo", at(2))).await.unwrap();
        assert_eq!(nodes(&zk), [r#"{"host":"127.0.0.1","port":2}"#]);
        assert_eq!(way.requests(OpCode::CREATE2, &mark).await, 1, "that of the second one");
    }
}

#[tokio::test]
async fn a_refusal_by_the_servers_is_an_error_with_the_reason() {
    let zk = server().await;
    let stranger = stranger(&zk).await;
    let read_only = Acl { perms: Perms::READ, ..Acl::open() };
    stranger.create_with_acl("/demo", "", CreateMode::Persistent, &[read_only]).await.unwrap();
    let error = soon(registry(&zk).await.register("demo", at(1))).await.unwrap_err();
    assert!(matches!(error, Error::Refused { .. }) && !error.is_retryable(), "{error:?}");
    let message = error.to_string();
    assert!(message.starts_with("cannot register an instance of service \"demo\": "), "{message}");
    assert!(message.contains("not authorised"), "{message}");
}

#[tokio::test]
async fn bad_names_and_instances_are_errors_before_anything_is_sent() {
    let zk = server().await;
    let registry = registry(&zk).await;
    let name = registry.register("/demo", at(1)).await.unwrap_err().to_string();
    assert!(name.starts_with("\"/demo\" cannot name a service: it begins or ends with"), "{name}");
    let port = registry.register("demo", at(0)).await.unwrap_err().to_string();
    assert_eq!(port, "the instance cannot be registered: port 0 is not in 1..=65535");
    assert!(matches!(registry.discover("").await, Err(Error::Name { .. })));
    assert!(matches!(registry.subscribe("a//b").await, Err(Error::Name { .. })));
    assert_eq!(zk.children("/demo"), None);
}

#[tokio::test]
async fn every_operation_after_closing_fails_with_closed() {
    let zk = server().await;
    let registry = registry(&zk).await;
    let mut connection = registry.connection();
    let mut registration = soon(registry.register("demo", at(1))).await.unwrap();
    soon(registry.close()).await.unwrap();
    assert_eq!(nodes(&zk).len(), 0);
    assert_eq!(soon(connection.changed()).await, Some(ConnectionState::Closed));
    assert_eq!(soon(connection.changed()).await, None);
    reached(&mut registration, |state| *state == RegistrationState::Closed).await;
    assert!(matches!(soon(registration.update(at(2))).await, Err(Error::Closed)));
    assert!(matches!(soon(registry.register("demo", at(1))).await, Err(Error::Closed)));
    assert!(matches!(soon(registry.discover("demo")).await, Err(Error::Closed)));
    assert!(matches!(soon(registry.subscribe("demo")).await, Err(Error::Closed)));
    soon(registration.withdraw()).await.unwrap();
    soon(registry.close()).await.unwrap();
}

#[tokio::test]
async fn an_unreachable_server_is_named() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let builder = Registry::builder().servers(free.to_string()).connect_timeout(Duration::from_millis(50));
    let error = soon(builder.connect()).await.unwrap_err();
    assert!(matches!(error, Error::Connect(_)) && error.is_retryable());
    assert!(error.to_string().contains(&free.to_string()), "{error}");
}

#[tokio::test]
async fn closing_the_session_of_a_dead_worker_removes_its_node_at_once() {
    let zk = ZkMini::start().await.unwrap();
    let servers = zk.connect_string();
    let worker = soon(Registry::connect(&servers)).await.unwrap();
    let mut registration = soon(worker.register("demo", at(1))).await.unwrap();
    let path = registration.path().unwrap();

    let bytes = registration.credentials().unwrap().to_bytes();
    let credentials = registry::Credentials::from_bytes(&bytes).unwrap();
    registry::close_session(&servers, &credentials, Duration::from_secs(10)).await.unwrap();
    assert!(zk.get(&path).is_none());

    // This worker is alive after all, so it registers again.
    moved_from(&mut registration, &path).await;
    registry::close_session(&servers, &credentials, Duration::from_secs(10)).await.unwrap();
    assert_eq!(nodes(&zk).len(), 1);
}

#[tokio::test]
async fn a_session_is_closed_over_connections_in_memory_too() {
    let zk = server().await;
    let mut registration = soon(registry(&zk).await.register("demo", at(1))).await.unwrap();
    let (path, credentials) = (registration.path().unwrap(), registration.credentials().unwrap());
    let connector = zk.connector();
    let via = connect_fn(move || std::future::ready(connector.connect()));
    let closed = close_session_via(via, "any", &credentials, Duration::from_secs(10));
    soon(closed).await.unwrap();
    assert!(zk.get(&path).is_none());
    moved_from(&mut registration, &path).await;
}
