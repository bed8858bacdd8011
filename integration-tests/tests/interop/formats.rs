//! The formats of services before those who define them: Curator's own service discovery, kazoo, and Dubbo's rules.
#![expect(clippy::unwrap_used, reason = "helpers of tests may unwrap as the tests do")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use integration_tests::java::JavaPrograms;
use integration_tests::process::Process;
use integration_tests::programs;
use integration_tests::scenarios::members;
use registry::codec::{Codec, Curator, Dubbo, ServerSet};
use registry::{
    Filter, Instance, Members, RegisterOptions, Registration, Registry, Status, SubscribeOptions,
    Subscription,
};
use serde_json::{Value, json};
use zk_client::Client;
use zk_mini::ZkMini;

/// Folder of the programs in Java.
const JAVA: &str = "tests/interop/java";

/// Maximum time for the start of a JVM on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server, and a registry that publishes and follows.
struct World {
    zk: ZkMini,
    registry: Registry,
}

impl World {
    async fn start() -> Self {
        let zk = ZkMini::start().await.unwrap();
        let registry = Registry::connect(&zk.connect_string()).await.unwrap();
        Self { zk, registry }
    }

    async fn publish(&self, codec: impl Codec, service: &str, id: &str, instance: &Instance) -> Registration {
        let codecs: [Arc<dyn Codec>; 1] = [Arc::new(codec)];
        let options = RegisterOptions::default().id(id).codecs(codecs);
        self.registry.register_with(service, instance.clone(), options).await.unwrap()
    }

    async fn subscribe(&self, codec: impl Codec, service: &str) -> Subscription {
        let all = Filter::default().statuses([Status::Starting, Status::Up, Status::Draining, Status::Down]);
        let codecs: [Arc<dyn Codec>; 1] = [Arc::new(codec)];
        let options = SubscribeOptions::default().codecs(codecs).filter(all);
        self.registry.subscribe_with(service, options).await.unwrap()
    }
}

/// Curator's discovery, which follows services and says what it knows of them.
struct Follower(Process);

impl Follower {
    fn start(java: &JavaPrograms, world: &World, base: &str, services: &[&str]) -> Self {
        let mut command = java.command("Discovery");
        Self(Process::start(command.args(["watch", &world.zk.connect_string(), base]).args(services)))
    }

    /// Waits until it knows of a service what is wanted.
    #[track_caller]
    fn until(&mut self, service: &str, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let read = |line: &str| serde_json::from_str::<Value>(line).ok();
        let is_wanted =
            |line: &str| read(line).is_some_and(|seen| seen["service"] == service && wanted(&seen));
        let line = self.0.line_that(&format!("{service}: {what}"), PATIENCE, is_wanted);
        read(&line).unwrap()
    }
}

fn instance() -> Instance {
    Instance::new("10.0.0.1", 8080).with_zone("a").with_weight(7)
}

#[tokio::test(flavor = "multi_thread")]
async fn curators_discovery_finds_what_is_published_in_its_format() {
    let world = World::start().await;
    let java = JavaPrograms::compile(JAVA);
    let services = ["any", "java.lang.Object", "none", "java.lang.Void", "mixed", "java.lang.Void"];
    let mut curator = Follower::start(&java, &world, "/discovery", &services);
    let codec = Curator::at("/discovery");

    let any = world.publish(codec.clone(), "any", "any-1", &instance().with_tls_port(8443)).await;
    let seen = curator.until("any", "the instance", |seen| seen["provided"] == json!(["any-1"]));
    let one = &seen["all"]["any-1"];
    assert_eq!(
        [&one["name"], &one["address"], &one["port"], &one["sslPort"], &one["serviceType"], &one["enabled"]],
        [&json!("any"), &json!("10.0.0.1"), &json!(8080), &json!(8443), &json!("DYNAMIC"), &json!(true)]
    );
    assert_eq!(one["payload"], json!({"@class": "java.util.LinkedHashMap", "zone": "a", "weight": 7}));

    any.set_status(Status::Draining).await.unwrap();
    let seen = curator.until("any", "no work for it", |seen| seen["provided"] == json!([]));
    assert_eq!(seen["all"]["any-1"]["enabled"], false, "it is still there");
    any.withdraw().await.unwrap();
    curator.until("any", "nothing", |seen| seen["all"] == json!({}));

    let _up = world.publish(codec.clone(), "none", "up", &Instance::new("10.0.0.1", 1)).await;
    let drained = world.publish(codec.clone(), "none", "drained", &Instance::new("10.0.0.1", 2)).await;
    drained.set_status(Status::Draining).await.unwrap();
    let is_complete = |seen: &Value| seen["provided"] == json!(["up"]) && seen["all"]["drained"].is_object();
    curator.until("none", "both, and work for one", is_complete);

    let _mixed = world.publish(codec, "mixed", "with-fields", &instance()).await;
    curator.until("mixed", "that the payload is not of its class", |seen| {
        seen["failed"] == "ClassCastException"
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn spring_clouds_callers_find_what_is_published_in_its_format() {
    let world = World::start().await;
    let java = JavaPrograms::compile(JAVA);
    let class = "org.springframework.cloud.zookeeper.discovery.ZookeeperInstance";
    let mut spring = Follower::start(&java, &world, "/services", &["orders", class]);

    let mut published = Vec::new();
    for (id, instance) in [
        ("plain", instance().with_tags(["x", "y"]).with("pid", 4711)),
        ("secure", Instance::new("orders-2", 8080).with_tls_port(8443)),
        ("away", Instance::new("10.0.0.1", 2).with_status(Status::Draining)),
    ] {
        published.push(world.publish(Curator::spring_cloud(), "orders", id, &instance).await);
    }
    let seen =
        spring.until("orders", "three", |seen| seen["all"].as_object().is_some_and(|all| all.len() == 3));
    let payload = |id: &str| seen["all"][id]["payload"].clone();
    let labels = json!({"instance_status": "UP", "zone": "a", "weight": "7", "tags": "x,y", "pid": "4711"});
    assert_eq!(
        payload("plain"),
        json!({"@class": class, "id": "plain", "name": "orders", "metadata": labels})
    );
    assert_eq!(payload("secure")["metadata"], json!({"instance_status": "UP"}));
    assert_eq!(
        payload("away")["metadata"],
        json!({"instance_status": "OUT_OF_SERVICE", "status": "draining"})
    );
    assert_eq!(seen["uris"]["plain"], "http://10.0.0.1:8080");
    assert_eq!(seen["uris"]["secure"], "https://orders-2:8443");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_curator_registered_is_read_and_nothing_is_lost_when_it_is_published_again() {
    let world = World::start().await;
    let java = JavaPrograms::compile(JAVA);
    let mut orders = world.subscribe(Curator::at("/discovery"), "orders").await;
    let mut curator = Process::start(java.command("Discovery").args([
        "register",
        &world.zk.connect_string(),
        "/discovery",
        "orders",
    ]));
    curator.line_that("registered", PATIENCE, |line| line == "registered");
    let seen = members("all", &mut orders, |members| members.len() == 7).await;
    let by_id: BTreeMap<&str, &Instance> =
        seen.instances.iter().map(|(id, one)| (id.as_str(), &**one)).collect();

    assert_eq!((by_id["plain"].addr(), by_id["plain"].status()), ("10.0.0.1:1".to_owned(), Status::Up));
    assert_eq!((by_id["map"].zone(), by_id["map"].weight()), (Some("a"), 7));
    assert_eq!(by_id["secure"].tls_port(), Some(443));
    assert_eq!((by_id["spring"].zone(), by_id["spring"].weight()), (Some("b"), 8));
    assert_eq!([by_id["enabled"].status(), by_id["disabled"].status()], [Status::Up, Status::Down]);

    let client = Client::connect(&world.zk.connect_string()).await.unwrap();
    let mut copies = Vec::new();
    for (id, instance) in by_id {
        copies.push(world.publish(Curator::at("/copies"), "orders", id, instance).await);
        let node = async |base: &str| {
            let (data, _) = client.get(&format!("{base}/orders/{id}")).await.unwrap();
            let mut node: Value = serde_json::from_slice(&data).unwrap();
            assert!(node["registrationTimeUTC"].take().is_u64());
            node
        };
        assert_eq!(node("/copies").await, node("/discovery").await, "{id}");
    }
    let mut follower = Follower::start(&java, &world, "/copies", &["orders", "java.lang.Object"]);
    follower.until("orders", "the copies", |seen| seen["all"].as_object().is_some_and(|all| all.len() == 7));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_set_has_members_in_python_and_ours() {
    let world = World::start().await;
    let codec = ServerSet::at("/sets");
    let mut set = world.subscribe(codec.clone(), "role/prod/orders").await;
    let mut command = programs::python("tests/interop/server_set.py");
    let mut python = Process::start(command.args([&world.zk.connect_string(), "/sets/role/prod/orders"]));
    let seen = members("that of Python", &mut set, |members| members.len() == 1).await;
    let theirs = seen.instances.values().next().unwrap();
    assert_eq!((theirs.addr(), theirs.get("shard")), ("10.0.0.9:9".to_owned(), Some(&json!(5))));

    let instance = instance().with_tls_port(8443).with("shard", 3);
    let registration = world.publish(codec, "role/prod/orders", "ours", &instance).await;
    let ours = json!({
        "serviceEndpoint": {"host": "10.0.0.1", "port": 8080},
        "additionalEndpoints": {"https": {"host": "10.0.0.1", "port": 8443}},
        "status": "ALIVE",
        "shard": 3,
        "metadata": {"zone": "a", "weight": "7"},
    });
    let both = |line: &str| {
        let members: Vec<Value> = serde_json::from_str(line).unwrap_or_default();
        members.len() == 2 && members.contains(&ours)
    };
    python.line_that("both members", PATIENCE, both);
    members("both", &mut set, |members| members.len() == 2).await;
    registration.withdraw().await.unwrap();
    python.line_that("its own", PATIENCE, |line| !line.contains("8443"));
}

#[tokio::test(flavor = "multi_thread")]
async fn providers_of_dubbo_are_read_whatever_characters_their_parameters_have() {
    let world = World::start().await;
    let service = "com.example.Orders";
    // Of ASCII all that can be seen, and the space, but those between parameters; then what takes two, three and four bytes.
    let characters: String = (' '..='~').filter(|c| !"&;=".contains(*c)).chain("ü中😀".chars()).collect();
    let mut orders = world.subscribe(Dubbo::default(), service).await;
    let java = JavaPrograms::compile(JAVA);
    let mut providers =
        Process::start(java.command("Providers").args([&world.zk.connect_string(), service, &characters]));
    providers.line_that("registered", PATIENCE, |line| line == "registered");
    let expected = characters.chars().count() + 4;
    let seen = members("all", &mut orders, |members| members.len() == expected).await;
    assert_eq!(seen.skipped, []);

    let at = |addr: &str| find(&seen, addr);
    for (number, character) in characters.chars().enumerate() {
        let provider = at(&format!("10.0.0.1:{}", 20_000 + number));
        assert_eq!(provider.get("text"), Some(&format!("a{character}b").into()));
        assert_eq!(provider.get("application"), Some(&"shop".into()));
    }
    let warm = at("10.0.0.2:1");
    assert_eq!((warm.weight(), warm.weight_at(1_050), warm.get("group")), (7, 3, Some(&"g".into())));
    assert_eq!(at("10.0.0.2:2").status(), Status::Down);
    assert_eq!(at("10.0.0.2:3").get("encoded"), Some(&"a%26b%3Dc%3Bd".into()));
    assert_eq!(at("[fe80:0:0:0:1:2:3:4]:4").get("path"), Some(&service.into()));
}

#[track_caller]
fn find<'a>(members: &'a Members, addr: &str) -> &'a Instance {
    members
        .instances
        .values()
        .find(|one| one.addr() == addr)
        .unwrap_or_else(|| panic!("no {addr} in {members:?}"))
}
