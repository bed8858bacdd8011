//! Connections that are not made, and servers that do not say who they are.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use rpc_client::{Client, connect_fn};
use tokio::io::duplex;
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::scripted::{Act, Scripted};
use crate::servers::{PATIENCE, eventually};

#[tokio::test]
async fn an_attempt_to_connect_that_panics_is_followed_by_another() {
    let (has_panicked, again) = (AtomicBool::new(false), Arc::new(Notify::new()));
    let (ours, _theirs) = duplex(64);
    let (ours, tried) = (Mutex::new(Some(ours)), Arc::clone(&again));
    let open = move |_| {
        let is_first = !has_panicked.swap(true, Ordering::Relaxed);
        let stream = if is_first { None } else { ours.lock().unwrap().take() };
        tried.notify_one();
        async move {
            assert!(!is_first, "a fault of the connector");
            stream.ok_or_else(|| std::io::ErrorKind::ConnectionRefused.into())
        }
    };
    let _client = Client::direct("test", ["a"]).via(connect_fn(open)).connect().await.unwrap();
    for _ in 0..2 {
        timeout(PATIENCE, again.notified()).await.unwrap();
    }
}

#[tokio::test]
async fn servers_without_an_identity_are_counted_apart() {
    let scripted = Scripted::nameless(["a", "b"], |_, _| Act::Answer);
    let client = scripted.client.connect().await.unwrap();
    eventually(async || {
        assert_eq!(client.call::<_, u32>("seven", &()).await.unwrap(), 7);
        client.instances().iter().all(|info| info.sent > 0)
    })
    .await;
    let (stats, instances) = (client.stats(), client.instances());
    for addr in ["a", "b"] {
        let info = instances.iter().find(|info| info.addr == addr).unwrap();
        assert_eq!((stats.by_instance[addr].addr.as_str(), stats.by_instance[addr].ok), (addr, info.ok));
    }
    assert_eq!(stats.by_instance.values().map(|instance| instance.ok).sum::<u64>(), stats.ok);
}
