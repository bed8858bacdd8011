//! The end of a program with live registrations; servers that return with older data.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use registry::codec::{Codec, Dubbo, Json};
use registry::{ConnectionState, Error, RegistrationState, Registry, SubscribeOptions, connect_fn};
use tokio::time::Instant;
use zk_mini::testing::in_virtual_time;
use zk_mini::{Builder, Connector, ZkMini};

use crate::support::{Way, at, members, ports, registry, server, soon};

const LIMIT: Duration = Duration::from_secs(5);

#[tokio::test]
async fn instances_of_a_program_that_ends_or_fails_go_at_once() {
    let zk = server().await;
    for is_error in [false, true] {
        let registry = registry(&zk).await;
        let work = async {
            let _registration = registry.register("demo", at(1)).await?;
            assert_eq!(zk.children("/demo").unwrap().len(), 1);
            if is_error { Err(Error::Withdrawn) } else { Ok(7) }
        };
        let ended = soon(registry.run_then_close(LIMIT, work)).await;
        assert_eq!(ended.is_err(), is_error);
        assert!(zk.sessions().is_empty(), "its session is closed");
        assert!(zk.children("/demo").unwrap().is_empty());
    }
}

#[tokio::test]
async fn instances_of_a_program_that_panics_go_at_once_and_the_panic_goes_on() {
    let zk = server().await;
    let registry = registry(&zk).await;
    let registration = soon(registry.register("demo", at(1))).await.unwrap();
    let guarded = registry.clone();
    let program = tokio::spawn(async move {
        let work = async move {
            let _registration = registration;
            std::panic::panic_any("a defect")
        };
        guarded.run_then_close(LIMIT, work).await
    });
    let error = soon(program).await.unwrap_err();
    assert_eq!(error.into_panic().downcast_ref::<&str>(), Some(&"a defect"));
    assert!(zk.sessions().is_empty());
}

#[test]
fn a_registry_ends_with_its_last_handle_although_no_server_is_there() {
    in_virtual_time(async {
        let zk = ZkMini::builder().in_memory().auto_advance().start().await.unwrap();
        let registry = Registry::builder().embedded(&zk).connect().await.unwrap();
        let registration = registry.register("demo", at(1)).await.unwrap();
        let mut connection = registry.connection();
        zk.take_down().await;
        drop((registry, registration));
        while soon(connection.changed()).await.is_some() {}
        assert_eq!(connection.current(), ConnectionState::Closed);
    });
}

#[test]
fn instances_are_gone_when_main_ends_right_after_run_then_close() {
    let serving = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let zk = serving.block_on(ZkMini::start()).unwrap();
    let main = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    main.block_on(async {
        let registry = soon(Registry::connect(&zk.connect_string())).await.unwrap();
        let work = async {
            std::mem::forget(registry.register("demo", at(1)).await.unwrap());
            assert_eq!(zk.children("/demo").unwrap().len(), 1);
        };
        soon(registry.run_then_close(LIMIT, work)).await;
    });
    drop(main);
    assert!(zk.children("/demo").unwrap().is_empty());
    let _runtime = serving.enter();
    drop(zk);
}

#[test]
fn nobody_is_told_that_an_instance_is_gone_if_the_runtime_ended_before_it() {
    let serving = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let zk = serving.block_on(ZkMini::start()).unwrap();
    let main = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (one, two) = main.block_on(async {
        let registry = soon(Registry::connect(&zk.connect_string())).await.unwrap();
        (registry.register("demo", at(1)).await.unwrap(), registry.register("demo", at(2)).await.unwrap())
    });
    drop(main);
    assert_eq!(zk.children("/demo").unwrap().len(), 2, "until the session timeout");
    serving.block_on(async {
        assert!(matches!(soon(one.withdraw()).await, Err(Error::Closed)));
        assert!(matches!(soon(two.drain(Duration::ZERO)).await, Err(Error::Closed)));
    });
    let _runtime = serving.enter();
    drop(zk);
}

#[test]
fn members_and_names_are_stale_once_the_runtime_has_ended() {
    let serving = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let zk = serving.block_on(ZkMini::start()).unwrap();
    let main = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (demo, services) = main.block_on(async {
        let registry = soon(Registry::connect(&zk.connect_string())).await.unwrap();
        let _one = registry.register("demo", at(1)).await.unwrap();
        (registry.subscribe("demo").await.unwrap(), registry.services().await.unwrap())
    });
    assert!(!demo.current().stale && !services.current().stale);
    drop(main);
    assert!(demo.current().stale && services.current().stale);
    assert_eq!((ports(&demo.current()), services.current().names.len()), (vec![1], 1));
    let _runtime = serving.enter();
    drop(zk);
}

#[test]
fn a_subscription_to_several_formats_is_refused_once_the_runtime_has_ended() {
    let serving = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let zk = serving.block_on(ZkMini::start()).unwrap();
    let main = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let registry = main.block_on(async { soon(Registry::connect(&zk.connect_string())).await.unwrap() });
    drop(main);
    let (tell, told) = std::sync::mpsc::channel();
    let runtime = serving.handle().clone();
    // On a thread of its own, which a lock that is never free would block.
    std::thread::spawn(move || {
        let both: [Arc<dyn Codec>; 2] = [Arc::new(Json), Arc::new(Dubbo::default())];
        let options = SubscribeOptions::default().codecs(both);
        let _ = tell.send(runtime.block_on(registry.subscribe_with("demo", options)).err());
    });
    let error = told.recv_timeout(LIMIT).unwrap();
    assert!(matches!(error, Some(Error::Closed)), "{error:?}");
    let _runtime = serving.enter();
    drop(zk);
}

#[tokio::test]
async fn closing_without_a_server_gives_up_after_the_limit() {
    let zk = server().await;
    let way = Way::to(&zk);
    let registry = way.registry().await;
    way.cut().await;
    let begun = Instant::now();
    let closed = soon(registry.close_within(Duration::from_millis(200))).await;
    assert!(matches!(closed, Err(Error::Close(_))), "{closed:?}");
    assert!(begun.elapsed() >= Duration::from_millis(200), "it was tried");
    assert!(matches!(soon(registry.discover("demo")).await, Err(Error::Closed)));
    soon(registry.close()).await.unwrap();
}

/// Configures a server in real time with short session timeouts.
fn quick() -> Builder {
    ZkMini::builder().in_memory().tick(Duration::from_millis(50)).max_session_timeout(Duration::from_secs(2))
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to.join("version-2")).unwrap();
    for file in fs::read_dir(from.join("version-2")).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), to.join("version-2").join(file.file_name())).unwrap();
    }
}

#[tokio::test]
async fn instances_are_registered_again_after_a_restart_with_older_or_no_data() {
    let dir = tempfile::tempdir().unwrap();
    let [data, older, empty] = ["data", "older", "empty"].map(|name| dir.path().join(name));
    let way: Arc<Mutex<Option<Connector>>> = Arc::default();
    let via = {
        let way = Arc::clone(&way);
        connect_fn(move || {
            let connector = way.lock().unwrap().clone();
            async move { connector.ok_or(io::ErrorKind::ConnectionRefused)?.connect() }
        })
    };
    let mut zk = quick().data_dir(&data).start().await.unwrap();
    *way.lock().unwrap() = Some(zk.connector());
    // The chroot is lost with the data, too.
    let builder = Registry::builder().servers("zk.test/app").via(via).session_timeout(Duration::from_secs(2));
    let registry = soon(builder.connect()).await.unwrap();
    let registration = soon(registry.register("demo", at(1))).await.unwrap();
    let mut demo = soon(registry.subscribe("demo")).await.unwrap();
    copy(&data, &older);
    for _ in 0..5 {
        soon(registration.update(at(2))).await.unwrap();
    }

    // Older data, which has the session and its node; no data; no data in memory.
    for next in [quick().data_dir(&older), quick().data_dir(&empty), quick()] {
        let before = registration.credentials().unwrap();
        zk.stop().await;
        zk = next.start().await.unwrap();
        *way.lock().unwrap() = Some(zk.connector());
        let again = async {
            loop {
                let node = registration.path().and_then(|path| zk.get(&format!("/app{path}")));
                if registration.credentials().is_some_and(|session| session != before)
                    && matches!(registration.state(), RegistrationState::Registered { .. })
                    && node.is_some_and(|(data, _)| data.ends_with(b"\"port\":2}"))
                {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        soon(again).await;
        members(&mut demo, |members| !members.stale && ports(members) == [2]).await;
        assert_eq!(zk.sessions().len(), 1, "the old session has expired");
    }
}
