//! The format of Apache Curator's service discovery, and of Spring Cloud ZooKeeper, which is built on it.

use bytes::Bytes;
use serde_json::Value;

use super::base::Base;
use super::kept::{self, Fields};
use super::spring;
use super::{Codec, Naming, Parents, Published};
use crate::instance::{Instance, InstanceError, read_object, take_port, take_text, write_object, wrong};
use crate::service::NameError;
use crate::status::Status;

/// Field of an [`Instance`] for what it has no field for.
const FORMAT: &str = "curator";

/// Fields of a payload that would mean something else as fields of an [`Instance`].
const RESERVED: [&str; 5] = ["host", "port", "tls_port", spring::CLASS, FORMAT];

const STATUS: &str = "status";

/// Object beside a payload that is no object itself, so that further fields have a place.
const BESIDE: &str = "fields";

/// The JSON of Apache Curator's service discovery (`curator-x-discovery`), which Spring Cloud ZooKeeper uses, too.
///
/// The node of a service is below Curator's `basePath`, and the name of an instance's node is its id. Missing parents are
/// container nodes, as Curator creates them.
///
/// | [`Instance`] | Curator |
/// | --- | --- |
/// | host, port, TLS port | `address`, `port`, `sslPort` |
/// | status | `enabled`: absent if it is up, else false |
/// | further fields, the status among them | `payload`: an object; null if there are none but the status |
/// | further fields, for Spring Cloud | `metadata` of the payload, as strings; `instance_status` is the status |
/// | the field `curator` | what has no field here: `serviceType`, `uriSpec`, the time of registration, the class of the payload, … |
///
/// An instance that has been read, and is published again, is written with all that it had, but its name, its id and its time
/// of registration are those of the new registration. A payload that is no object stays as it is; further fields stand beside
/// it then, where Curator does not look.
///
/// Java programs cast the payload to the class that they ask for, and fail on another: those with `Void` need instances without
/// further fields, those with `Map` or `Object` take all.
///
/// ```
/// use registry::Instance;
/// use registry::codec::{Codec, Curator, Published};
///
/// let curator = Curator::at("/discovery");
/// assert_eq!(curator.service_path("", "orders")?, "/discovery/orders");
///
/// let instance = Instance::new("10.0.0.1", 8080).with_zone("a");
/// let data = curator.encode(&Published::new("orders", "orders-1", &instance, 1_700_000_000_000))?;
/// let read = curator.decode("orders-1", &data)?;
/// assert_eq!((read.addr(), read.zone()), ("10.0.0.1:8080".to_owned(), Some("a")));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Curator {
    base: Base,
    is_spring: bool,
}

impl Curator {
    /// Reads and writes below Curator's `basePath`. It is below the chroot, and the root of the registry does not count.
    /// `Curator::default()` uses the registry's root.
    #[must_use]
    pub fn at(base_path: impl Into<String>) -> Self {
        Self { base: Base::at(base_path), is_spring: false }
    }

    /// Reads and writes as Spring Cloud ZooKeeper does by default: below `/services`.
    #[must_use]
    pub fn spring_cloud() -> Self {
        Self::spring_cloud_at("/services")
    }

    /// Reads and writes as Spring Cloud ZooKeeper does, below its `spring.cloud.zookeeper.discovery.root`.
    #[must_use]
    pub fn spring_cloud_at(root: impl Into<String>) -> Self {
        Self { base: Base::at(root), is_spring: true }
    }
}

impl Codec for Curator {
    fn service_path(&self, root: &str, service: &str) -> Result<String, NameError> {
        self.base.service_path(root, service)
    }

    fn services_path(&self, root: &str) -> Result<String, NameError> {
        self.base.services_path(root)
    }

    fn naming(&self, _is_named: bool) -> Naming {
        Naming::Id
    }

    fn parents(&self) -> Parents {
        Parents::Container
    }

    fn encode(&self, of: &Published<'_>) -> Result<Bytes, InstanceError> {
        let instance = of.instance;
        instance.check()?;
        let mut node = kept::of(instance, FORMAT);
        let kept = node.remove("payload");
        let fields = further(instance);
        let is_spring = self.is_spring || kept.as_ref().is_some_and(spring::is_payload);
        let payload = if is_spring {
            if self.is_spring {
                kept::fill(&mut node, spring::uri_spec(instance));
            }
            spring::payload(of, kept, &fields)
        } else {
            if kept.is_none() && is_status_alone(&fields) {
                // Programs that want no payload can read the instance, whatever its status.
                let fields = fields.into_iter().filter(|(_, word)| !is_told(word)).collect::<Fields>();
                if !fields.is_empty() {
                    node.insert(BESIDE.into(), fields.into());
                }
                Value::Null
            } else {
                payload(fields, kept, &mut node)
            }
        };
        let has_no_plain_port =
            node.get("port") == Some(&Value::Null) && instance.tls_port() == Some(instance.port());
        if !has_no_plain_port {
            node.insert("port".into(), instance.port().into());
        }
        if instance.status() != Status::Up {
            node.insert("enabled".into(), false.into());
        }
        node.extend([
            ("name".to_owned(), of.service.into()),
            ("id".to_owned(), of.id.into()),
            ("address".to_owned(), instance.host().into()),
            ("sslPort".to_owned(), instance.tls_port().into()),
            ("payload".to_owned(), payload),
            ("registrationTimeUTC".to_owned(), of.registered_at.into()),
        ]);
        node.entry("serviceType").or_insert_with(|| "DYNAMIC".into());
        node.entry("uriSpec").or_insert(Value::Null);
        write_object(node)
    }

    fn decode(&self, name: &str, data: &[u8]) -> Result<Instance, InstanceError> {
        let mut node = read_object(data)?;
        let host = take_text(&mut node, "address")?;
        let tls_port = take_optional_port(&mut node, "sslPort")?;
        let port = match (take_optional_port(&mut node, "port")?, tls_port) {
            (Some(port), _) => port,
            (None, Some(port)) => {
                node.insert("port".into(), Value::Null);
                port
            }
            (None, None) => return Err(InstanceError::Missing("port")),
        };
        let mut instance = Instance::new(host, port);
        instance.check()?;
        if let Some(port) = tls_port {
            instance = instance.with_tls_port(port);
        }
        let is_enabled = match node.get("enabled") {
            None => true,
            Some(Value::Bool(enabled)) => *enabled,
            Some(other) => return Err(wrong("enabled", "a boolean", other)),
        };
        for (key, value) in read_payload(&mut node) {
            instance = instance.with(key, value);
        }
        if !is_enabled {
            node.remove("enabled");
            if instance.status() == Status::Up {
                instance = instance.with_status(Status::Down);
            }
        }
        node.remove("name");
        node.retain(|key, value| match key.as_str() {
            "id" => value != name,
            "serviceType" => value != "DYNAMIC",
            "uriSpec" => !value.is_null(),
            _ => true,
        });
        Ok(kept::keep(instance, FORMAT, node))
    }
}

/// Returns the further fields for a payload.
fn further(instance: &Instance) -> Fields {
    let fields = instance.fields().filter(|(key, _)| *key != FORMAT && *key != "tls_port");
    fields.map(|(key, value)| (key.to_owned(), value.clone())).collect()
}

/// Returns true if there is one field, a status.
fn is_status_alone(fields: &Fields) -> bool {
    let status = fields.get(STATUS).and_then(Value::as_str).and_then(Status::from_word);
    fields.len() == 1 && status.is_some()
}

/// Returns true if `enabled` tells a status.
fn is_told(word: &Value) -> bool {
    word == Status::Up.as_str() || word == Status::Down.as_str()
}

/// Returns the payload of a program that is not Spring Cloud.
fn payload(mut fields: Fields, kept: Option<Value>, node: &mut Fields) -> Value {
    match kept {
        None if fields.is_empty() => Value::Null,
        None => fields.into(),
        Some(Value::Object(more)) => {
            kept::fill(&mut fields, more);
            fields.into()
        }
        Some(other) => {
            if !fields.is_empty() {
                node.insert(BESIDE.into(), fields.into());
            }
            other
        }
    }
}

/// Takes the fields of an instance out of a node's payload. What is left stays in the node.
fn read_payload(node: &mut Fields) -> Fields {
    match node.remove("payload") {
        None | Some(Value::Null) => {
            let beside = kept::take_object(node, BESIDE).unwrap_or_default();
            if is_status_alone(&beside) {
                return beside;
            }
            if !beside.is_empty() {
                node.insert(BESIDE.into(), beside.into());
            }
            Fields::new()
        }
        Some(Value::Object(payload)) => {
            let (fields, rest) = if spring::is_class(&payload) {
                spring::read(payload)
            } else {
                kept::split(payload, &RESERVED)
            };
            if !rest.is_empty() || fields.is_empty() || is_status_alone(&fields) {
                node.insert("payload".into(), rest.into());
            }
            fields
        }
        Some(other) => {
            node.insert("payload".into(), other);
            let beside = kept::take_object(node, BESIDE).unwrap_or_default();
            kept::split(beside, &RESERVED).0
        }
    }
}

fn take_optional_port(node: &mut Fields, field: &'static str) -> Result<Option<u16>, InstanceError> {
    if node.get(field).is_none_or(Value::is_null) {
        node.remove(field);
        return Ok(None);
    }
    take_port(node, field).map(Some)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::super::arbitrary::{json_value, labels};
    use super::*;

    const TIME: u64 = 1_700_000_000_000;

    fn written(codec: &Curator, instance: &Instance) -> Value {
        serde_json::from_slice(&codec.encode(&Published::new("orders", "id-1", instance, TIME)).unwrap())
            .unwrap()
    }

    fn read(node: &Value) -> Instance {
        Curator::default().decode("id-1", node.to_string().as_bytes()).unwrap()
    }

    fn plain() -> Value {
        json!({
            "name": "orders", "id": "id-1", "address": "10.0.0.1", "port": 8080, "sslPort": null, "payload": null,
            "registrationTimeUTC": TIME, "serviceType": "DYNAMIC", "uriSpec": null,
        })
    }

    /// Returns the plain node with other fields.
    fn with(fields: Value) -> Value {
        let mut node = plain();
        let Value::Object(fields) = fields else { unreachable!("tests give objects") };
        node.as_object_mut().unwrap().extend(fields);
        node
    }

    #[test]
    fn an_instance_without_further_fields_is_what_curator_writes_without_a_payload() {
        assert_eq!(written(&Curator::default(), &Instance::new("10.0.0.1", 8080)), plain());
        assert_eq!(read(&plain()).addr(), "10.0.0.1:8080");
        assert_eq!(read(&plain()).fields().map(|(key, _)| key).collect::<Vec<_>>(), [FORMAT]);
    }

    #[test]
    fn further_fields_are_the_payload() {
        let instance = Instance::new("10.0.0.1", 8080).with_zone("a").with_weight(7).with_tls_port(8443);
        let node = with(json!({"sslPort": 8443, "payload": {"zone": "a", "weight": 7}}));
        assert_eq!(written(&Curator::default(), &instance), node);
        let back = read(&node);
        assert_eq!((back.zone(), back.weight(), back.tls_port()), (Some("a"), 7, Some(8443)));
    }

    #[test]
    fn an_instance_that_takes_no_work_is_not_enabled() {
        for (status, beside) in [
            (Status::Down, json!({})),
            (Status::Draining, json!({"fields": {"status": "draining"}})),
            (Status::Starting, json!({"fields": {"status": "starting"}})),
        ] {
            let mut expected = with(beside);
            expected["enabled"] = false.into();
            let node = written(&Curator::default(), &Instance::new("10.0.0.1", 8080).with_status(status));
            assert_eq!(
                (&node, read(&node).status()),
                (&expected, status),
                "without a payload, as Java may want it"
            );
        }
        let up = Instance::new("10.0.0.1", 8080).with_status(Status::Up);
        assert_eq!(written(&Curator::default(), &up), plain());
        assert_eq!(read(&with(json!({"enabled": true}))).status(), Status::Up);
        assert_eq!(
            read(&with(json!({"enabled": false, "payload": {"status": "up"}}))).status(),
            Status::Down
        );
    }

    #[test]
    fn what_another_client_wrote_is_written_again() {
        for fields in [
            json!({}),
            json!({"payload": {}}),
            json!({"payload": {"status": "up"}}),
            json!({"payload": "text"}),
            json!({"payload": ["java.util.ArrayList", [1, 2]]}),
            json!({"payload": {"@class": "com.example.Details", "host": "h", "port": "p", "description": "d"}}),
            json!({"payload": {"curator": 1, "tls_port": 2, "status": "green"}}),
            json!({"serviceType": "PERMANENT", "uriSpec": {"parts": [{"value": "port", "variable": true}]}}),
            json!({"fields": {"a": 1}}),
            json!({"enabled": true, "somethingNew": [1, {"a": null}]}),
            json!({"enabled": false}),
            json!({"port": null, "sslPort": 8443}),
            json!({"payload": {
                "@class": "org.springframework.cloud.zookeeper.discovery.ZookeeperInstance",
                "id": "application-1", "name": "orders", "extra": 1,
                "metadata": {"instance_status": "UP", "host": "h", "zone": "a", "weight": "7", "pid": "4711", "none": null},
            }}),
        ] {
            let node = with(fields);
            assert_eq!(written(&Curator::default(), &read(&node)), node);
        }
    }

    #[test]
    fn what_spring_cloud_wrote_is_written_again() {
        // Recorded from Spring Cloud ZooKeeper 4.3.0 with two labels of the user's.
        let recorded = r#"{"name":"shop","id":"94933f0c-10e5-4b2e-8001-8c4a44e893a4","address":"127.0.0.1","port":18099,
            "sslPort":null,"payload":{"@class":"org.springframework.cloud.zookeeper.discovery.ZookeeperInstance","id":"shop",
            "name":"shop","metadata":{"zone":"b","weight":"8","instance_status":"UP"}},"registrationTimeUTC":1795896905951,
            "serviceType":"DYNAMIC","uriSpec":{"parts":[{"value":"scheme","variable":true},{"value":"://","variable":false},
            {"value":"address","variable":true},{"value":":","variable":false},{"value":"port","variable":true}]}}"#;
        let id = "94933f0c-10e5-4b2e-8001-8c4a44e893a4";
        let codec = Curator::spring_cloud();
        let instance = codec.decode(id, recorded.as_bytes()).unwrap();
        assert_eq!((instance.zone(), instance.weight(), instance.status()), (Some("b"), 8, Status::Up));
        let again = codec.encode(&Published::new("shop", id, &instance, 1_795_896_905_951)).unwrap();
        let json = |data: &[u8]| serde_json::from_slice::<Value>(data).unwrap();
        assert_eq!(json(&again), json(recorded.as_bytes()));
        let fresh = Instance::new("127.0.0.1", 18099);
        assert_eq!(written(&codec, &fresh)["uriSpec"], json(recorded.as_bytes())["uriSpec"]);
    }

    #[test]
    fn a_changed_instance_keeps_a_payload_that_is_no_object() {
        let node = with(json!({"payload": "text"}));
        let changed = written(&Curator::default(), &read(&node).with_weight(7));
        assert_eq!(changed, with(json!({"payload": "text", "fields": {"weight": 7}})));
        assert_eq!(read(&changed).weight(), 7);
    }

    #[test]
    fn name_id_and_time_are_those_of_the_registration() {
        let node = with(json!({"name": "old", "id": "old-1", "registrationTimeUTC": 7}));
        let instance = read(&node);
        let kept = json!({"id": "old-1", "registrationTimeUTC": 7});
        assert_eq!(instance.get(FORMAT), Some(&kept));
        assert_eq!(written(&Curator::default(), &instance), plain());
    }

    #[test]
    fn each_defect_has_its_error() {
        let error =
            |fields| Curator::default().decode("id-1", with(fields).to_string().as_bytes()).unwrap_err();
        assert_eq!(error(json!({"address": null})).to_string(), r#"field "address" is null, not a string"#);
        assert_eq!(error(json!({"port": null})), InstanceError::Missing("port"));
        assert_eq!(error(json!({"port": 65536})), InstanceError::Port("65536".into()));
        assert_eq!(
            error(json!({"sslPort": "1"})).to_string(),
            r#"field "sslPort" is a string, not a number"#
        );
        assert_eq!(
            error(json!({"enabled": "no"})).to_string(),
            r#"field "enabled" is a string, not a boolean"#
        );
        assert_eq!(Curator::default().decode("id-1", b""), Err(InstanceError::Empty));
        let invalid = Instance::new("a b", 1);
        assert!(Curator::default().encode(&Published::new("s", "i", &invalid, 0)).is_err());
    }

    proptest! {
        #[test]
        fn reading_never_panics(data in proptest::collection::vec(any::<u8>(), 0..200), payload in json_value(), node in json_value()) {
            let _ = Curator::default().decode("id-1", &data);
            let _ = Curator::default().decode("id-1", node.to_string().as_bytes());
            let _ = Curator::default().decode("id-1", with(json!({"payload": payload})).to_string().as_bytes());
        }

        #[test]
        fn reading_undoes_writing(
            host in "[a-z0-9.:-]{1,20}", port in 1u16.., zone in ".*", weight in any::<u32>(),
            tags in proptest::collection::vec(".*", 0..4), tls_port in proptest::option::of(1u16..),
            status in proptest::sample::select(vec![Status::Starting, Status::Up, Status::Draining, Status::Down]),
            key in "x[a-z]{1,8}", text in ".*", is_spring in any::<bool>(),
        ) {
            let mut instance = Instance::new(host, port).with_zone(zone).with_weight(weight).with_tags(tags);
            instance = instance.with(key, text).with_status(status).with_warm_up(TIME, 1_000);
            instance = tls_port.map_or(instance.clone(), |port| instance.with_tls_port(port));
            let codec = if is_spring { Curator::spring_cloud() } else { Curator::at("/discovery") };
            let back = read(&written(&codec, &instance));
            prop_assert_eq!(back.status(), status);
            for (key, value) in instance.fields().filter(|(key, _)| *key != "status") {
                prop_assert_eq!(back.get(key), Some(value), "{}", key);
            }
            prop_assert_eq!(back.addr(), instance.addr());
        }

        #[test]
        fn any_payload_is_written_again(payload in json_value(), labels in labels()) {
            for payload in [payload, spring_payload(&labels)] {
                let instance = read(&with(json!({"payload": payload})));
                let again = read(&written(&Curator::default(), &instance));
                prop_assert_eq!(again, instance);
            }
        }
    }

    fn spring_payload(metadata: &Value) -> Value {
        let class = "org.springframework.cloud.zookeeper.discovery.ZookeeperInstance";
        json!({"@class": class, "id": "1", "name": "orders", "metadata": metadata})
    }
}
