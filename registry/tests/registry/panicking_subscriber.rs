//! A tracing subscriber that panics ends nothing.

use registry::Instance;
use tracing::{Event, Level};
use zk_client::CreateMode;

use crate::support::{EachEvent, members, ports, registry, server, soon, stranger};

#[tokio::test]
async fn services_are_registered_and_found_under_a_subscriber_that_panics() {
    // Without the panic hook, which would fill the output of the test.
    let panics = |_: &Event<'_>| std::panic::resume_unwind(Box::new("the subscriber"));
    let _guard = tracing::subscriber::set_default(EachEvent(Level::TRACE, panics));
    let zk = server().await;
    let (registry, stranger) = (registry(&zk).await, stranger(&zk).await);
    let registration = soon(registry.register("demo", Instance::new("127.0.0.1", 1))).await.unwrap();
    let mut subscription = soon(registry.subscribe("demo")).await.unwrap();
    // Each node is named in the log.
    for number in 0..10 {
        let path = format!("/demo/bad-{number}");
        stranger.create(&path, "no instance", CreateMode::Persistent).await.unwrap();
    }
    members(&mut subscription, |members| members.skipped.len() == 10 && ports(members) == [1]).await;
    soon(registration.withdraw()).await.unwrap();
    members(&mut subscription, |members| members.instances.is_empty()).await;
}
