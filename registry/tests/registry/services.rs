//! The names of the services.

use std::sync::Arc;
use std::time::Duration;

use registry::codec::{Curator, Dubbo};
use registry::{Registry, ServiceNames, Services};
use zk_client::{Acl, CreateMode, Expected, Perms};
use zk_mini::ZkMini;
use zk_mini::history::{EntryKind, Mark};
use zk_mini::testing::in_virtual_time;

use crate::support::{Way, at, registry, server, soon, stranger};

/// Waits for these services.
async fn names(services: &mut Services, wanted: &[&str]) -> Arc<ServiceNames> {
    soon(async {
        let mut names = services.current();
        while names.stale || !names.names.iter().eq(wanted) {
            names = services.changed().await.expect("the registry is open");
        }
        names
    })
    .await
}

#[tokio::test]
async fn services_are_listed_as_they_come_and_go_and_zookeepers_own_node_is_none() {
    let zk = server().await;
    let (registry, stranger) = (registry(&zk).await, stranger(&zk).await);
    let mut services = soon(registry.services()).await.unwrap();
    names(&mut services, &[]).await;
    let _a = soon(registry.register("a", at(1))).await.unwrap();
    names(&mut services, &["a"]).await;
    let _b = soon(registry.register("team/b", at(1))).await.unwrap();
    let mut clone = services.clone();
    names(&mut services, &["a", "team"]).await;
    stranger.delete(&format!("/team/b/{}", zk.children("/team/b").unwrap()[0]), Expected::Any).await.unwrap();
    names(&mut clone, &["a", "team"]).await;
}

#[test]
fn a_root_that_does_not_exist_is_awaited_without_asking_again_and_again() {
    in_virtual_time(async {
        let zk = ZkMini::builder().in_memory().auto_advance().seed(7).start().await.unwrap();
        let registry = Registry::builder().embedded(&zk).root("deep/root").seed(1).connect().await.unwrap();
        let requests = |mark: &Mark| zk.history().since(mark).kind(EntryKind::Request).len();
        let mark = zk.mark();
        let mut services = registry.services().await.unwrap();
        assert_eq!(*services.current(), ServiceNames::default());
        tokio::time::sleep(Duration::from_secs(3_600)).await;
        assert_eq!(requests(&mark), 2, "a list, and a watch for the creation");

        for _ in 0..3 {
            let stranger = stranger(&zk).await;
            stranger.ensure_path("/deep/root/a").await.unwrap();
            names(&mut services, &["a"]).await;
            for path in ["/deep/root/a", "/deep/root", "/deep"] {
                stranger.delete(path, Expected::Any).await.unwrap();
            }
            stranger.close().await.unwrap();
            names(&mut services, &[]).await;
            tokio::time::sleep(Duration::from_secs(1)).await;
            let mark = zk.mark();
            tokio::time::sleep(Duration::from_secs(3_600)).await;
            assert_eq!(requests(&mark), 0, "the watch is enough");
        }
    });
}

#[tokio::test]
async fn the_last_names_stay_without_a_connection_and_are_updated_after_it() {
    let zk = server().await;
    let (way, stranger) = (Way::to(&zk), stranger(&zk).await);
    let registry = way.registry().await;
    stranger.ensure_path("/a").await.unwrap();
    let mut services = soon(registry.services()).await.unwrap();
    way.cut().await;
    while !services.current().stale {
        soon(services.changed()).await.unwrap();
    }
    assert!(services.current().names.contains("a"));
    stranger.ensure_path("/b").await.unwrap();
    way.mend();
    names(&mut services, &["a", "b"]).await;
    soon(registry.close()).await.unwrap();
    while let Some(last) = soon(services.changed()).await {
        assert!(last.stale);
    }
}

#[tokio::test]
async fn each_format_lists_the_services_where_it_has_them() {
    let zk = server().await;
    let (registry, stranger) = (registry(&zk).await, stranger(&zk).await);
    for path in ["/dubbo/com.shop.Cart/providers", "/dubbo/metadata", "/curator/cart"] {
        stranger.ensure_path(path).await.unwrap();
    }
    let mut dubbo = soon(registry.services_with(Arc::new(Dubbo::default()))).await.unwrap();
    names(&mut dubbo, &["com.shop.Cart"]).await;
    let mut curator = soon(registry.services_with(Arc::new(Curator::at("/curator")))).await.unwrap();
    names(&mut curator, &["cart"]).await;
}

#[tokio::test]
async fn services_that_cannot_be_listed_are_an_error() {
    let zk = server().await;
    let stranger = stranger(&zk).await;
    let secret = Acl { perms: Perms::CREATE, ..Acl::open() };
    stranger.create_with_acl("/root", "", CreateMode::Persistent, &[secret]).await.unwrap();
    let registry = soon(Registry::builder().embedded(&zk).root("root").connect()).await.unwrap();
    let error = soon(registry.services()).await.unwrap_err();
    assert!(error.to_string().starts_with("cannot list the services below \"/root\": "), "{error}");
}
