//! The registry on random bad days of the server.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use registry::codec::{Codec, Curator, Json};
use registry::{RegisterOptions, Registry, SubscribeOptions};
use zk_mini::ZkMini;
use zk_mini::testing::{Day, days, in_virtual_time};

use crate::support::{at, ports};

const TIMEOUT: Duration = Duration::from_secs(10);

async fn connected(zk: &ZkMini) -> Registry {
    Registry::builder().embedded(zk).session_timeout(TIMEOUT).seed(7).connect().await.unwrap()
}

/// Registers one instance before the day and one with an id during it, and checks that everybody sees each exactly once afterwards.
fn instances_are_present_once_after(day: &Day) {
    in_virtual_time(async {
        let zk = ZkMini::builder().in_memory().auto_advance().seed(7).start().await.unwrap();
        let (registry, observer) = (connected(&zk).await, connected(&zk).await);
        let begun = zk.mark();
        let subscription = observer.subscribe("demo").await.unwrap();
        let formats: [Arc<dyn Codec>; 2] = [Arc::new(Curator::at("/curator")), Arc::new(Json)];
        let options = SubscribeOptions::default().codecs(formats).spread(TIMEOUT / 2).empty_after(TIMEOUT);
        let spread = observer.subscribe_with("demo", options).await.unwrap();
        let services = observer.services().await.unwrap();
        let first = registry.register("demo", at(1)).await.unwrap();
        let second = tokio::spawn({
            let registry = registry.clone();
            async move {
                loop {
                    // An error tells that the instance is not registered.
                    let named = RegisterOptions::default().id("host-7");
                    if let Ok(registration) = registry.register_with("demo", at(2), named).await {
                        return registration;
                    }
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
        });
        day.play(&zk).await;
        // Longer than every delay and backoff, and than sessions live without a client.
        tokio::time::sleep(6 * TIMEOUT).await;

        let nodes = zk.children("/demo").unwrap();
        assert_eq!(nodes.len(), 2, "{nodes:?}");
        assert_eq!(ports(&subscription.current()), [1, 2]);
        assert_eq!(*spread.current(), *subscription.current());
        assert_eq!(services.current().names.iter().collect::<Vec<_>>(), ["demo"]);
        assert!(!services.current().stale);
        assert_eq!(ports(&registry.discover("demo").await.unwrap()), [1, 2]);

        second.await.unwrap().withdraw().await.unwrap();
        first.withdraw().await.unwrap();
        assert_eq!(zk.children("/demo").unwrap(), [""; 0]);
        drop((subscription, spread, services));
        // Whatever was lost on the way, the servers keep no watch of those that are gone.
        tokio::time::sleep(TIMEOUT).await;
        zk.no_leaked_watches(&begun).unwrap();
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn instances_are_present_exactly_once_after_any_day(day in days(TIMEOUT)) {
        instances_are_present_once_after(&day);
    }
}
