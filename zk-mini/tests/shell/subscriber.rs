//! Servers in a program whose tracing subscriber panics.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};
use zk_mini::ZkMini;

use crate::raw::{GET_DATA, Raw, eventually, get_data};

/// Counts its events, and panics at each.
#[derive(Clone, Default)]
struct Panicking(Arc<AtomicUsize>);

impl Panicking {
    /// Sets it for all threads: a server that listens has one of its own.
    fn of_the_process() -> Self {
        static SET: OnceLock<Panicking> = OnceLock::new();
        let set = || {
            let subscriber = Self::default();
            tracing::subscriber::set_global_default(subscriber.clone()).unwrap();
            subscriber
        };
        SET.get_or_init(set).clone()
    }

    fn told(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Subscriber for Panicking {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("zk_mini")
    }

    fn event(&self, _: &Event<'_>) {
        self.0.fetch_add(1, Ordering::Relaxed);
        // Without the panic hook, so that the output of the test stays readable.
        std::panic::resume_unwind(Box::new("the subscriber"));
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

#[tokio::test]
async fn connections_expiry_and_the_listener_outlive_a_subscriber_that_panics() {
    let subscriber = Panicking::of_the_process();
    let tick = Duration::from_millis(20);
    let zk = ZkMini::builder().tick(tick).max_client_connections(1).start().await.unwrap();
    let mut first = Raw::tcp(&zk).await;
    first.open_session(400).await;
    let before = subscriber.told();
    assert!(before > 0, "it is told");
    // Too many connections are refused; the refused ones cost the others nothing.
    for _ in 0..3 {
        assert_eq!(Raw::tcp(&zk).await.rest().await, b"");
    }
    assert_eq!(first.request(1, GET_DATA, &get_data("/", false)).await.err, 0);
    eventually("it expires", || zk.sessions().is_empty()).await;
    assert_eq!(first.receive().await, None);
    eventually("there is room again", || zk.connections().is_empty()).await;
    let mut next = Raw::tcp(&zk).await;
    next.open_session(400).await;
    assert_eq!(next.create("/a", 0).await.err, 0);
    assert!(subscriber.told() > before);
    crate::raw::within(zk.stop()).await;
}

#[tokio::test]
async fn a_data_directory_is_kept_under_a_subscriber_that_panics() {
    let subscriber = Panicking::of_the_process();
    let dir = tempfile::tempdir().unwrap();
    let start =
        || ZkMini::builder().in_memory().data_dir(dir.path()).snap_count(10.try_into().unwrap()).start();
    let zk = start().await.unwrap();
    let mut raw = Raw::with_session(&zk, 4_000).await;
    for number in 0..50 {
        assert_eq!(raw.create(&format!("/{number}"), 0).await.err, 0);
    }
    crate::raw::within(zk.stop()).await;
    let zk = start().await.unwrap();
    assert_eq!(zk.children("/").unwrap().len(), 51);
    assert!(subscriber.told() > 0);
}
