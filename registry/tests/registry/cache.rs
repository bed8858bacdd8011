//! Starts while the registry is away, with and without the members of the last time on disk.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use registry::{Builder, ConnectionState, Members, Registry, unix_ms};
use tempfile::TempDir;
use zk_client::connect_fn;
use zk_mini::{Connector, ZkMini};

use crate::support::{at, members, ports, registry, server, soon};

/// A way to a server that is closed at first.
#[derive(Clone)]
struct Gate {
    connector: Connector,
    is_open: Arc<AtomicBool>,
}

impl Gate {
    fn to(zk: &ZkMini) -> Self {
        Self { connector: zk.connector(), is_open: Arc::default() }
    }

    fn builder(&self) -> Builder {
        let gate = self.clone();
        Registry::builder().via(connect_fn(move || {
            let is_open = gate.is_open.load(Ordering::SeqCst);
            let stream =
                if is_open { gate.connector.connect() } else { Err(io::ErrorKind::ConnectionRefused.into()) };
            async move { stream }
        }))
    }

    fn open(&self) {
        self.is_open.store(true, Ordering::SeqCst);
    }
}

/// Starts a registry that has this cache and reaches no server yet.
async fn away(zk: &ZkMini, cache: &TempDir) -> (Registry, Gate) {
    let gate = Gate::to(zk);
    let registry = soon(gate.builder().cache(cache.path()).connect_in_background()).await.unwrap();
    assert_eq!(registry.connection().current(), ConnectionState::Connecting);
    (registry, gate)
}

/// Waits until the file in the cache has the wanted text.
async fn written(cache: &Path, is_wanted: impl Fn(&str) -> bool) -> PathBuf {
    soon(async {
        loop {
            let paths = fs::read_dir(cache).unwrap().map(|entry| entry.unwrap().path());
            // Not what will become one.
            for path in paths.filter(|path| path.extension().is_some_and(|extension| extension == "members"))
            {
                if fs::read_to_string(&path).is_ok_and(|text| is_wanted(&text)) {
                    return path;
                }
            }
            // The disk tells nobody.
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await
}

/// Fills a cache with the members of `demo`: those at these ports, which are registered meanwhile.
async fn filled(zk: &ZkMini, ports: &[u16]) -> TempDir {
    let cache = tempfile::tempdir().unwrap();
    let registry = soon(Registry::builder().embedded(zk).cache(cache.path()).connect()).await.unwrap();
    let mut registrations = Vec::new();
    for &port in ports {
        registrations.push(soon(registry.register("demo", at(port))).await.unwrap());
    }
    let _demo = soon(registry.subscribe("demo")).await.unwrap();
    written(cache.path(), |text| ports.iter().all(|port| text.contains(&format!("\"port\":{port}")))).await;
    // Before the registrations go: nobody hears that they do.
    soon(registry.close()).await.unwrap();
    cache
}

#[tokio::test]
async fn a_program_starts_while_the_registry_is_away_with_stale_members_of_a_known_age() {
    let zk = server().await;
    let before = unix_ms();
    let cache = filled(&zk, &[1, 2]).await;
    let (registry, _gate) = away(&zk, &cache).await;
    let demo = soon(registry.subscribe("demo")).await.unwrap().current();
    assert_eq!((ports(&demo), demo.stale), (vec![1, 2], true));
    let confirmed = demo.cached.expect("they are from the cache");
    assert!((before..=unix_ms()).contains(&confirmed));
    assert_eq!(demo.age(confirmed + 5_000), Some(Duration::from_secs(5)));
}

#[tokio::test]
async fn members_are_fresh_once_the_registry_is_back() {
    let zk = server().await;
    let cache = filled(&zk, &[1, 2]).await;
    let worker = registry(&zk).await;
    let _three = soon(worker.register("demo", at(3))).await.unwrap();
    let (registry, gate) = away(&zk, &cache).await;
    let mut demo = soon(registry.subscribe("demo")).await.unwrap();
    assert_eq!(ports(&demo.current()), [1, 2]);
    gate.open();
    let fresh = soon(demo.changed()).await.unwrap();
    assert_eq!(
        (ports(&fresh), fresh.stale, fresh.cached, fresh.age(unix_ms())),
        (vec![3], false, None, None)
    );
    assert_eq!(soon(worker.discover("demo")).await.unwrap(), *fresh);
}

#[tokio::test]
async fn the_cache_of_a_dead_service_does_not_bring_it_back() {
    let zk = server().await;
    let cache = filled(&zk, &[1]).await;
    // The instance has died unseen. The cache has it until the registry answers.
    let (registry, gate) = away(&zk, &cache).await;
    let mut demo = soon(registry.subscribe("demo")).await.unwrap();
    assert_eq!(ports(&demo.current()), [1]);
    gate.open();
    members(&mut demo, |members| members.is_empty() && !members.stale).await;
    written(cache.path(), |text| !text.contains("\"port\"")).await;
    // From then on it is known to be empty.
    let (registry, _gate) = away(&zk, &cache).await;
    let demo = soon(registry.subscribe("demo")).await.unwrap().current();
    assert!(demo.is_empty() && demo.stale && demo.cached.is_some());
}

#[tokio::test]
async fn a_subscription_without_a_usable_file_waits_for_the_registry() {
    let zk = server().await;
    let worker = registry(&zk).await;
    let _one = soon(worker.register("demo", at(1))).await.unwrap();
    let good = filled(&zk, &[7]).await;
    let path = written(good.path(), |_| true).await;
    let text = fs::read_to_string(&path).unwrap();
    let foreign = text.replace("in-memory", "another:2181");
    for content in
        [None, Some(String::new()), Some(text.replacen('7', "8", 1)), Some(foreign), Some("{}".into())]
    {
        let cache = tempfile::tempdir().unwrap();
        if let Some(content) = content {
            fs::write(cache.path().join(path.file_name().unwrap()), content).unwrap();
        }
        let (registry, gate) = away(&zk, &cache).await;
        let subscribing = tokio::spawn(async move { registry.subscribe("demo").await });
        gate.open();
        let demo = soon(subscribing).await.unwrap().unwrap().current();
        assert_eq!((ports(&demo), demo.stale), (vec![1], false));
        written(cache.path(), |text| text.contains("\"port\":1")).await;
    }
}

#[tokio::test]
async fn members_of_the_cache_are_never_shown_while_a_server_is_connected() {
    let zk = server().await;
    let cache = filled(&zk, &[1]).await;
    let registry = soon(Registry::builder().embedded(&zk).cache(cache.path()).connect()).await.unwrap();
    let demo = soon(registry.subscribe("demo")).await.unwrap();
    assert_eq!(*demo.current(), Members::default());
}

#[tokio::test]
async fn a_directory_that_cannot_be_written_disturbs_no_subscription() {
    let zk = server().await;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    fs::write(&file, "not a directory").unwrap();
    let registry = soon(Registry::builder().embedded(&zk).cache(file.join("below")).connect()).await.unwrap();
    let mut demo = soon(registry.subscribe("demo")).await.unwrap();
    for port in 1..4 {
        let registration = soon(registry.register("demo", at(port))).await.unwrap();
        members(&mut demo, |members| ports(members) == [port]).await;
        soon(registration.withdraw()).await.unwrap();
    }
}

#[tokio::test]
async fn a_registration_waits_while_the_registry_is_away() {
    let zk = server().await;
    let gate = Gate::to(&zk);
    let registry = soon(gate.builder().connect_in_background()).await.unwrap();
    let mut registering = Box::pin(registry.register("demo", at(1)));
    assert!(registering.as_mut().now_or_never().is_none());
    gate.open();
    let _one = soon(registering).await.unwrap();
    assert_eq!(zk.children("/demo").unwrap().len(), 1);
}

#[test]
fn code_without_async_starts_while_the_registry_is_away_too() {
    use registry::blocking::Wait;

    let zk = server().wait();
    let cache = filled(&zk, &[1]).wait();
    let (registry, gate) = away(&zk, &cache).wait();
    let mut demo = soon(registry.subscribe("demo")).wait().unwrap();
    assert!(demo.current().cached.is_some());
    gate.open();
    members(&mut demo, |members| !members.stale).wait();
    soon(registry.close()).wait().unwrap();
}
