//! The end of an instance that still serves.

use std::time::Duration;

use registry::{ConnectionState, Drained, Error, LossReason, RegistrationState, Registry};
use tokio::time::{Instant, timeout};
use zk_mini::testing::in_virtual_time;
use zk_mini::{On, Then, ZkMini};
use zk_wire::OpCode;

use crate::support::{at, nodes, ports};

const GRACE: Duration = Duration::from_secs(1);
const TIMEOUT: Duration = Duration::from_secs(10);

async fn server() -> ZkMini {
    ZkMini::builder().in_memory().auto_advance().seed(7).start().await.unwrap()
}

async fn connected(zk: &ZkMini) -> Registry {
    Registry::builder().embedded(zk).session_timeout(TIMEOUT).seed(7).connect().await.unwrap()
}

#[test]
fn a_drained_instance_says_so_then_goes_and_serves_until_clients_have_heard_of_it() {
    in_virtual_time(async {
        let zk = server().await;
        let registry = connected(&zk).await;
        let registration = registry.register("demo", at(1)).await.unwrap();
        let (path, begun) = (registration.path().unwrap(), Instant::now());
        assert_eq!(registration.drain(GRACE).await.unwrap(), Drained::Confirmed);
        assert!((GRACE..GRACE * 2).contains(&begun.elapsed()), "{:?}", begun.elapsed());
        let changes: Vec<_> = zk.explain(&path).changes.iter().map(ToString::to_string).collect();
        assert!(changes[1].contains("set"), "{changes:?}");
        assert!(changes[2].contains("deleted"), "{changes:?}");
        let past = zk.tree_at(zk.explain(&path).changes[1].zxid).unwrap();
        let data = past.get(&path).unwrap().data.clone().unwrap();
        assert!(String::from_utf8_lossy(&data).contains(r#""status":"draining""#));
    });
}

#[test]
fn no_client_chooses_an_instance_that_refuses_work_after_its_drain() {
    in_virtual_time(async {
        let zk = server().await;
        let client = connected(&zk).await;
        let listener = zk.sessions()[0].id;
        let service = connected(&zk).await;
        let demo = client.subscribe("demo").await.unwrap();
        // The client's server is half a second behind.
        let slow = zk.fault(On::any_event("/**").session(listener), Then::delay(GRACE / 2));
        let (first, _second) =
            (service.register("demo", at(1)).await.unwrap(), service.register("demo", at(2)).await.unwrap());
        tokio::time::sleep(GRACE).await;
        assert_eq!(ports(&demo.current()), [1, 2]);
        let drain = tokio::spawn(first.drain(GRACE));
        let mut stale_choices = 0;
        while !drain.is_finished() {
            stale_choices += usize::from(nodes(&zk).len() == 1 && ports(&demo.current()) == [1, 2]);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(ports(&demo.current()), [2]);
        assert!(slow.fired() > 0 && stale_choices > 10, "it was still chosen after it was gone");
    });
}

#[test]
fn a_drain_ends_also_while_the_registry_is_away_and_the_instance_does_not_come_back() {
    in_virtual_time(async {
        let zk = server().await;
        let registry = connected(&zk).await;
        let registration = registry.register("demo", at(1)).await.unwrap();
        zk.take_down().await;
        let begun = Instant::now();
        assert_eq!(registration.drain(GRACE).await.unwrap(), Drained::Presumed);
        let bound = TIMEOUT.mul_f32(1.5) + GRACE;
        assert!((bound..bound + GRACE).contains(&begun.elapsed()), "{:?}", begun.elapsed());
        let mark = zk.mark();
        zk.bring_up().await.unwrap();
        tokio::time::sleep(6 * TIMEOUT).await;
        assert_eq!(nodes(&zk), [""; 0]);
        let creates = zk.history().since(&mark).path("/demo/**");
        assert!(creates.iter().all(|entry| entry.op != Some(OpCode::CREATE2)), "{creates}");
    });
}

#[test]
fn nobody_is_told_that_an_instance_is_gone_after_a_close_that_no_server_confirmed() {
    in_virtual_time(async {
        let zk = server().await;
        let registry = connected(&zk).await;
        let (first, second) = (
            registry.register("demo", at(1)).await.unwrap(),
            registry.register("demo", at(2)).await.unwrap(),
        );
        zk.take_down().await;
        let (drain, withdrawal) = (tokio::spawn(first.drain(GRACE)), tokio::spawn(second.withdraw()));
        registry.close_within(GRACE).await.unwrap_err();
        assert!(matches!(drain.await.unwrap(), Err(Error::Closed)));
        assert!(matches!(withdrawal.await.unwrap(), Err(Error::Closed)));
        zk.bring_up().await.unwrap();
        assert_eq!(nodes(&zk).len(), 2);

        let registry = connected(&zk).await;
        let (first, second) = (
            registry.register("demo", at(1)).await.unwrap(),
            registry.register("demo", at(2)).await.unwrap(),
        );
        registry.close().await.unwrap();
        assert_eq!(first.drain(GRACE).await.unwrap(), Drained::Confirmed);
        second.withdraw().await.unwrap();
    });
}

#[test]
fn a_drain_is_confirmed_when_the_registry_is_back_in_time() {
    in_virtual_time(async {
        let zk = server().await;
        let registry = connected(&zk).await;
        let registration = registry.register("demo", at(1)).await.unwrap();
        zk.take_down().await;
        let drain = tokio::spawn(registration.drain(GRACE));
        tokio::time::sleep(TIMEOUT / 2).await;
        zk.bring_up().await.unwrap();
        assert_eq!(drain.await.unwrap().unwrap(), Drained::Confirmed);
        assert_eq!(nodes(&zk), [""; 0]);
    });
}

#[test]
fn a_drain_does_not_presume_an_instance_gone_while_connections_keep_its_session_alive() {
    in_virtual_time(async {
        let zk = server().await;
        let registry = connected(&zk).await;
        let registration = registry.register("demo", at(1)).await.unwrap();
        let cuts = [OpCode::SET_DATA, OpCode::DELETE];
        let cut = zk.fault(On::ops(&cuts), Then::disconnect());
        let drain = tokio::spawn(registration.drain(GRACE));
        tokio::time::sleep(6 * TIMEOUT).await;
        assert!(cut.fired() > 10 && nodes(&zk).len() == 1, "the session lives: {}", cut.fired());
        assert!(!drain.is_finished(), "callers still find the instance");
        drop(cut);
        assert_eq!(drain.await.unwrap().unwrap(), Drained::Confirmed);
        assert_eq!(nodes(&zk), [""; 0]);
    });
}

#[test]
fn an_instance_whose_session_is_known_to_be_over_is_not_registered_and_withdrawn_at_once() {
    in_virtual_time(async {
        let zk = server().await;
        let registry = connected(&zk).await;
        let mut registration = registry.register("demo", at(1)).await.unwrap();
        let session = zk.session_of(&registration.path().unwrap()).unwrap();
        // The first connection hears that the session is over, the next one would begin another.
        let refused = zk.fault(On::connect().nth(2), Then::refuse());
        session.expire().await;
        let lost = timeout(6 * TIMEOUT, registration.changed()).await.unwrap();
        assert_eq!(lost, Some(RegistrationState::Reregistering(LossReason::SessionExpired)));
        assert_eq!(registry.connection().current(), ConnectionState::Connecting, "there is no other session");
        refused.until_fired().await.unwrap();
        let begun = Instant::now();
        registration.withdraw().await.unwrap();
        assert_eq!(begun.elapsed(), Duration::ZERO, "there is nothing to wait for");
    });
}
