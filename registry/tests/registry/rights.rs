//! ACLs of what registrations create, and the identities that they need.

use std::fmt::Debug;
use std::sync::Arc;

use registry::codec::{Codec, Curator, Json};
use registry::{Acl, Clock, Error, RegisterOptions, Registry};
use tokio::sync::mpsc;
use tracing::field::Field;
use tracing::{Event, Level};
use zk_mini::{On, Then, ZkMini};
use zk_wire::{ErrorCode, OpCode};

use crate::support::{EachEvent, at, builder, members, moved_from, nodes, ports, registry, server, soon};

async fn ours(zk: &ZkMini) -> Registry {
    let connecting = builder(zk).root("team/services").auth("digest", "payments:secret");
    soon(connecting.acl([Acl::creator_only(), Acl::read_only()]).connect()).await.unwrap()
}

#[tokio::test]
async fn everything_that_a_registration_creates_has_the_acl() {
    let zk = server().await;
    let registry = ours(&zk).await;
    let codecs: [Arc<dyn Codec>; 2] = [Arc::new(Json), Arc::new(Curator::at("/discovery"))];
    let named = RegisterOptions::default().id("a").codecs(codecs);
    let older = soon(registry.register_with("demo", at(1), named.clone())).await.unwrap();
    let unnamed = soon(registry.register("demo", at(2))).await.unwrap();
    let path = unnamed.path().unwrap();
    let created = [
        "/team",
        "/team/services",
        "/team/services/demo",
        "/team/services/demo/a",
        &path,
        "/discovery",
        "/discovery/demo",
        "/discovery/demo/a",
    ];
    let check = || {
        for path in created {
            let acl = zk.acl(path).unwrap();
            let schemes: Vec<_> = acl.iter().map(|entry| &*entry.scheme).collect();
            assert_eq!(schemes, ["digest", "world"], "{path}");
        }
    };
    check();
    // An instance that takes the place of another has it, too.
    let newer = soon(ours(&zk).await.register_with("demo", at(3), named)).await.unwrap();
    check();
    drop((older, newer));
}

#[tokio::test]
async fn the_identity_is_given_on_every_connection_and_in_every_session() {
    let zk = server().await;
    let registry = ours(&zk).await;
    let mut registration = soon(registry.register("demo", at(1))).await.unwrap();
    for port in 2..4 {
        zk.sessions_where(|_| true).disconnect().await;
        soon(registration.update(at(port))).await.unwrap();
        let path = registration.path().unwrap();
        zk.session_of(&path).unwrap().expire().await;
        moved_from(&mut registration, &path).await;
    }
    soon(registration.withdraw()).await.unwrap();
    assert_eq!(zk.children("/team/services/demo").unwrap(), [""; 0]);
    assert_eq!(nodes(&zk), [""; 0]);
}

#[tokio::test]
async fn a_stranger_neither_registers_beside_nor_replaces_a_protected_instance() {
    let zk = server().await;
    let owner = ours(&zk).await;
    let _ours = soon(owner.register_with("demo", at(1), RegisterOptions::default().id("a"))).await.unwrap();
    let strangers = soon(builder(&zk).root("team/services").connect()).await.unwrap();
    for options in [RegisterOptions::default(), RegisterOptions::default().id("a")] {
        let refused = soon(strangers.register_with("demo", at(2), options)).await;
        assert!(matches!(refused, Err(Error::Refused { .. })), "{refused:?}");
    }
    assert_eq!(soon(strangers.discover("demo")).await.unwrap().len(), 1);
}

#[tokio::test]
async fn what_may_not_be_listed_any_more_is_stale_until_it_may_and_the_log_says_so_once() {
    let (warnings, mut told) = mpsc::unbounded_channel();
    let tell = move |event: &Event<'_>| {
        let mut told = String::new();
        event.record(&mut |_: &Field, value: &dyn Debug| told += &format!("{value:?} "));
        let _ = warnings.send(told);
    };
    let _guard = tracing::subscriber::set_default(EachEvent(Level::WARN, tell));
    let zk = server().await;
    let (service, caller) = (registry(&zk).await, registry(&zk).await);
    let _first = soon(service.register("demo", at(1))).await.unwrap();
    let mut demo = soon(caller.subscribe("demo")).await.unwrap();
    let mut names = soon(caller.services()).await.unwrap();
    assert!(!demo.current().stale && !names.current().stale);

    let refused = zk.fault(On::op(OpCode::GET_CHILDREN2), Then::fail(ErrorCode::NO_AUTH));
    let _others = (
        soon(service.register("demo", at(2))).await.unwrap(),
        soon(service.register("other", at(3))).await.unwrap(),
    );
    let stale = members(&mut demo, |members| members.stale).await;
    assert_eq!(ports(&stale), [1], "the last that are known");
    while !soon(names.changed()).await.unwrap().stale {}
    soon(async {
        while refused.fired() < 10 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    drop(refused);
    members(&mut demo, |members| !members.stale && ports(members) == [1, 2]).await;
    while soon(names.changed()).await.unwrap().stale {}
    let mut warnings = Vec::new();
    while let Ok(warning) = told.try_recv() {
        warnings.push(warning);
    }
    let count = |text: &str| warnings.iter().filter(|warning| warning.contains(text)).count();
    assert_eq!((count("service cannot be"), count("services cannot be")), (1, 1), "{warnings:?}");
}

#[tokio::test]
async fn an_identity_that_is_refused_is_an_error_and_in_the_background_a_warning() {
    let zk = server().await;
    let builder = || Registry::builder().embedded(&zk).clock(Clock::start()).auth("unknown", "secret");
    let refused = soon(builder().connect()).await.unwrap_err();
    assert!(refused.to_string().contains("authentication failed"), "{refused}");

    let (warnings, mut told) = mpsc::unbounded_channel();
    let tell = move |event: &Event<'_>| {
        let mut told = String::new();
        event.record(&mut |field: &Field, value: &dyn Debug| told += &format!("{field}={value:?} "));
        let _ = warnings.send(told);
    };
    let _guard = tracing::subscriber::set_default(EachEvent(Level::WARN, tell));
    let registry = soon(builder().connect_in_background()).await.unwrap();
    let warning = soon(told.recv()).await.unwrap();
    assert!(warning.contains("identity refused") && !warning.contains("secret"), "{warning}");
    soon(registry.close()).await.unwrap();
}
