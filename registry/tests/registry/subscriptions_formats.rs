//! Subscriptions that read several formats.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use registry::codec::{Codec, Curator, Dubbo, Json, Naming, Published, ServerSet};
use registry::{Filter, Instance, InstanceError, Members, NameError, Registry, Status, SubscribeOptions};
use zk_client::{Client, CreateMode, Expected};
use zk_mini::ZkMini;
use zk_mini::testing::in_virtual_time;
use zk_wire::OpCode;

use crate::support::{Way, at, members, ports, registry, server, soon, stranger};

fn curator() -> Arc<dyn Codec> {
    Arc::new(Curator::at("/curator"))
}

fn all() -> [Arc<dyn Codec>; 4] {
    [Arc::new(Json), curator(), Arc::new(ServerSet::at("/sets")), Arc::new(Dubbo::default())]
}

/// Publishes an instance as a program with another library does.
async fn publish(client: &Client, codec: &dyn Codec, name: &str, instance: &Instance) {
    let folder = codec.service_path("", "demo").unwrap();
    client.ensure_path(&folder).await.unwrap();
    let data = codec.encode(&Published::new("demo", name, instance, 1)).unwrap();
    client.create(&format!("{folder}/{name}"), data, CreateMode::Persistent).await.unwrap();
}

#[tokio::test]
async fn a_subscriber_reads_several_formats_and_an_instance_in_all_of_them_is_one_member() {
    let zk = server().await;
    let (caller, stranger) = (registry(&zk).await, stranger(&zk).await);
    let options = || SubscribeOptions::default().codecs(all());
    let mut demo = soon(caller.subscribe_with("demo", options())).await.unwrap();
    assert!(demo.current().is_empty() && !demo.current().stale);

    publish(&stranger, &Json, "own-1", &at(1)).await;
    members(&mut demo, |members| ports(members) == [1]).await;
    publish(&stranger, &*curator(), "0a1b", &at(1)).await;
    publish(&stranger, &*curator(), "0a1c", &at(2)).await;
    publish(&stranger, &ServerSet::at("/sets"), "member_0000000001", &at(2)).await;
    publish(&stranger, &ServerSet::at("/sets"), "member_0000000002", &at(3)).await;
    let url = "dubbo%3A%2F%2F127.0.0.1%3A4%2Fdemo%3Finterface%3Ddemo";
    stranger.ensure_path(&format!("/dubbo/demo/providers/{url}")).await.unwrap();
    let found = members(&mut demo, |members| ports(members) == [1, 2, 3, 4]).await;
    assert!(found.instances.contains_key(&"own-1".into()) && found.instances.contains_key(&"0a1c".into()));
    assert_eq!(soon(caller.discover_with("demo", options())).await.unwrap(), *found);

    // The first format no longer has it: the next one shows it.
    stranger.delete("/demo/own-1", Expected::Any).await.unwrap();
    let found = members(&mut demo, |members| members.instances.contains_key(&"0a1b".into())).await;
    assert_eq!(ports(&found), [1, 2, 3, 4]);
}

#[tokio::test]
async fn an_instance_that_drains_in_its_first_format_is_not_shown_by_a_later_one() {
    let zk = server().await;
    let (caller, stranger) = (registry(&zk).await, stranger(&zk).await);
    publish(&stranger, &Json, "one", &at(1)).await;
    publish(&stranger, &*curator(), "0a1b", &at(1)).await;
    let options = SubscribeOptions::default().codecs([Arc::new(Json), curator()]);
    let mut demo = soon(caller.subscribe_with("demo", options.clone())).await.unwrap();
    assert_eq!(ports(&demo.current()), [1]);
    let draining = at(1).with_status(Status::Draining).to_json().unwrap();
    stranger.set("/demo/one", draining, Expected::Any).await.unwrap();
    members(&mut demo, Members::is_empty).await;
    let any = options.filter(Filter::default().statuses([Status::Up, Status::Draining]));
    assert_eq!(soon(caller.discover_with("demo", any)).await.unwrap().len(), 1);
}

#[tokio::test]
async fn names_that_tell_all_are_not_read_and_children_that_are_no_instances_are_no_defects() {
    let zk = server().await;
    let (way, stranger) = (Way::to(&zk), stranger(&zk).await);
    let caller = way.registry().await;
    let providers = "/dubbo/demo/providers";
    for port in 1..=300 {
        let url = format!("dubbo%3A%2F%2F127.0.0.1%3A{port}%2Fdemo%3Finterface%3Ddemo");
        stranger.ensure_path(&format!("{providers}/{url}")).await.unwrap();
    }
    stranger.ensure_path(&format!("{providers}/empty%3A%2F%2F127.0.0.1%2Fdemo")).await.unwrap();
    stranger.ensure_path("/sets/demo/lock-0000000001").await.unwrap();
    let mark = zk.mark();
    let codecs: [Arc<dyn Codec>; 2] = [Arc::new(Dubbo::default()), Arc::new(ServerSet::at("/sets"))];
    let options = SubscribeOptions::default().codecs(codecs);
    let mut demo = soon(caller.subscribe_with("demo", options.clone())).await.unwrap();
    assert_eq!((demo.current().len(), &demo.current().skipped[..]), (300, &[][..]));
    assert_eq!(soon(caller.discover_with("demo", options)).await.unwrap(), *demo.current());
    stranger.ensure_path(&format!("{providers}/dubbo%3A%2F%2Fhost%3A7%2Fdemo")).await.unwrap();
    members(&mut demo, |members| members.len() == 301).await;
    assert_eq!(way.requests(OpCode::GET_DATA, &mark).await, 0);
}

#[tokio::test]
async fn two_formats_below_one_node_do_not_report_each_others_instances() {
    let zk = server().await;
    let (caller, stranger) = (registry(&zk).await, stranger(&zk).await);
    publish(&stranger, &Json, "one", &at(1)).await;
    publish(&stranger, &Curator::default(), "0a1b", &at(2)).await;
    stranger.create("/demo/broken", "?", CreateMode::Persistent).await.unwrap();
    let codecs: [Arc<dyn Codec>; 2] = [Arc::new(Json), Arc::new(Curator::default())];
    let options = SubscribeOptions::default().codecs(codecs);
    let demo = soon(caller.subscribe_with("demo", options.clone())).await.unwrap();
    let found = demo.current();
    assert_eq!(ports(&found), [1, 2]);
    assert_eq!(found.skipped.iter().map(|skipped| skipped.id.as_str()).collect::<Vec<_>>(), ["broken"]);
    assert_eq!(soon(caller.discover_with("demo", options)).await.unwrap(), *found);
}

#[tokio::test]
async fn subscriptions_to_one_and_to_several_formats_share_the_reads_of_those_in_common() {
    let zk = server().await;
    let (way, stranger) = (Way::to(&zk), stranger(&zk).await);
    let caller = way.registry().await;
    let both = SubscribeOptions::default().codecs([Arc::new(Json), curator()]);
    let mut both = soon(caller.subscribe_with("demo", both)).await.unwrap();
    let mut one = soon(caller.subscribe("demo")).await.unwrap();
    publish(&stranger, &Json, "first", &at(1)).await;
    members(&mut both, |members| ports(members) == [1]).await;
    let mark = zk.mark();
    publish(&stranger, &Json, "second", &at(2)).await;
    members(&mut both, |members| ports(members) == [1, 2]).await;
    members(&mut one, |members| ports(members) == [1, 2]).await;
    let requests =
        (way.requests(OpCode::GET_CHILDREN2, &mark).await, way.requests(OpCode::GET_DATA, &mark).await);
    assert_eq!(requests, (1, 1));
}

#[tokio::test]
async fn one_format_that_cannot_be_listed_is_an_error() {
    let zk = server().await;
    let (caller, stranger) = (registry(&zk).await, stranger(&zk).await);
    publish(&stranger, &Json, "one", &at(1)).await;
    let secret = zk_client::Acl { perms: zk_client::Perms::CREATE, ..zk_client::Acl::open() };
    stranger.ensure_path("/curator").await.unwrap();
    stranger.create_with_acl("/curator/demo", "", CreateMode::Persistent, &[secret]).await.unwrap();
    let options = SubscribeOptions::default().codecs([Arc::new(Json), curator()]);
    let error = soon(caller.subscribe_with("demo", options.clone())).await.unwrap_err();
    assert!(error.to_string().contains("/curator/demo"), "{error}");
    assert!(soon(caller.discover_with("demo", options)).await.is_err());
}

#[test]
fn a_loss_in_all_formats_is_held_and_a_loss_in_one_is_not() {
    in_virtual_time(async {
        let zk = ZkMini::builder().in_memory().auto_advance().seed(7).start().await.unwrap();
        let stranger = stranger(&zk).await;
        publish(&stranger, &Json, "one", &at(1)).await;
        publish(&stranger, &*curator(), "0a1b", &at(1)).await;
        publish(&stranger, &*curator(), "0a1c", &at(2)).await;
        let registry = Registry::builder().embedded(&zk).seed(1).connect().await.unwrap();
        let bound = Duration::from_secs(30);
        let options = SubscribeOptions::default().codecs([Arc::new(Json), curator()]).empty_after(bound);
        let mut demo = registry.subscribe_with("demo", options).await.unwrap();
        stranger.delete("/demo/one", Expected::Any).await.unwrap();
        let left = members(&mut demo, |members| members.instances.contains_key(&"0a1b".into())).await;
        assert!(!left.stale && ports(&left) == [1, 2]);

        stranger.delete("/curator/demo/0a1b", Expected::Any).await.unwrap();
        stranger.delete("/curator/demo/0a1c", Expected::Any).await.unwrap();
        let held = members(&mut demo, |members| members.stale).await;
        let lost = tokio::time::Instant::now();
        assert_eq!(ports(&held), [1, 2], "lost within seconds");
        members(&mut demo, Members::is_empty).await;
        assert!(lost.elapsed() > bound - Duration::from_secs(1), "{:?}", lost.elapsed());
    });
}

/// Format with a bug: it panics at one port, without the panic hook, which would fill the output of the test.
#[derive(Debug)]
struct Buggy;

impl Codec for Buggy {
    fn service_path(&self, root: &str, service: &str) -> Result<String, NameError> {
        Json.service_path(root, service)
    }

    fn services_path(&self, root: &str) -> Result<String, NameError> {
        Json.services_path(root)
    }

    fn naming(&self, is_named: bool) -> Naming {
        Json.naming(is_named)
    }

    fn encode(&self, of: &Published<'_>) -> Result<Bytes, InstanceError> {
        Json.encode(of)
    }

    fn decode(&self, name: &str, data: &[u8]) -> Result<Instance, InstanceError> {
        let instance = Json.decode(name, data)?;
        if instance.port() == 2 { std::panic::resume_unwind(Box::new("a bug")) } else { Ok(instance) }
    }
}

#[tokio::test]
async fn a_format_that_panics_at_one_node_hides_no_other() {
    let zk = server().await;
    let (caller, stranger) = (registry(&zk).await, stranger(&zk).await);
    for port in 1..=3 {
        publish(&stranger, &Json, &port.to_string(), &at(port)).await;
    }
    let codecs: [Arc<dyn Codec>; 1] = [Arc::new(Buggy)];
    let options = SubscribeOptions::default().codecs(codecs);
    let found = soon(caller.subscribe_with("demo", options.clone())).await.unwrap().current();
    assert_eq!(ports(&found), [1, 3]);
    assert_eq!(found.skipped[0].to_string(), "2: the format has panicked");
    assert_eq!(soon(caller.discover_with("demo", options)).await.unwrap(), *found);
}
