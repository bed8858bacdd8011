//! The format of Twitter's server sets, which Finagle, Aurora and others use.

use bytes::Bytes;
use serde_json::{Value, json};

use super::base::Base;
use super::kept::{self, Fields};
use super::labels;
use super::{Codec, Naming, Published};
use crate::instance::{Instance, InstanceError, read_object, take_port, take_text, write_object, wrong};
use crate::service::NameError;
use crate::status::Status;

/// Field of an [`Instance`] for what it has no field for.
const FORMAT: &str = "server_set";

/// Metadata that would mean something else as fields of an [`Instance`].
const RESERVED: [&str; 5] = ["host", "port", "tls_port", SHARD, FORMAT];

/// Beginning of the names of members. Other children, such as `vector_…` with weights, are none.
const MEMBER: &str = "member_";

/// Name of the additional endpoint that is the TLS port of an [`Instance`].
const HTTPS: &str = "https";

const SHARD: &str = "shard";
const STATUS: &str = "status";
const ADDITIONAL_ENDPOINTS: &str = "additionalEndpoints";
const SERVICE_ENDPOINT: &str = "serviceEndpoint";
const METADATA: &str = "metadata";

/// The JSON of members of Twitter's server sets, as Finagle announces and resolves them.
///
/// The nodes of members are `member_` and digits, below the set's path: `/{root}/{service}`.
///
/// | [`Instance`] | member |
/// | --- | --- |
/// | host, port | `serviceEndpoint` |
/// | TLS port | the endpoint `https` of `additionalEndpoints` |
/// | status | `status`: `STARTING`, `ALIVE`, `STOPPING`, `STOPPED`; also read are `DEAD` as down, and others as up |
/// | the field `shard`, a number | `shard` |
/// | further fields | `metadata`, as strings; Twitter's older libraries do not read it |
/// | the field `server_set` | what has no field here: further endpoints, a status such as `WARNING`, … |
///
/// Finagle uses members that are `ALIVE`. Members in Thrift's binary format cannot be read. A chosen id is no part of the name.
///
/// ```
/// use registry::Instance;
/// use registry::codec::{Codec, Published, ServerSet};
///
/// let data = br#"{"serviceEndpoint":{"host":"10.0.0.1","port":8080},"additionalEndpoints":{},"status":"ALIVE","shard":3}"#;
/// let read = ServerSet::default().decode("member_0000000007", data)?;
/// assert_eq!((read.addr(), read.get("shard")), ("10.0.0.1:8080".to_owned(), Some(&3.into())));
/// # Ok::<(), registry::InstanceError>(())
/// ```
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ServerSet {
    base: Base,
}

impl ServerSet {
    /// Reads and writes below this path. It is below the chroot, and the root of the registry does not count.
    /// `ServerSet::default()` uses the registry's root.
    #[must_use]
    pub fn at(path: impl Into<String>) -> Self {
        Self { base: Base::at(path) }
    }
}

impl Codec for ServerSet {
    fn service_path(&self, root: &str, service: &str) -> Result<String, NameError> {
        self.base.service_path(root, service)
    }

    fn services_path(&self, root: &str) -> Result<String, NameError> {
        self.base.services_path(root)
    }

    fn naming(&self, _is_named: bool) -> Naming {
        Naming::Numbered { prefix: MEMBER }
    }

    fn encode(&self, of: &Published<'_>) -> Result<Bytes, InstanceError> {
        let instance = of.instance;
        instance.check()?;
        let mut member = kept::of(instance, FORMAT);
        let endpoint = |port: u16| json!({"host": instance.host(), "port": port});
        let mut own = kept::take_object(&mut member, SERVICE_ENDPOINT).unwrap_or_default();
        own.extend([
            ("host".to_owned(), instance.host().into()),
            ("port".to_owned(), instance.port().into()),
        ]);
        member.insert(SERVICE_ENDPOINT.into(), own.into());
        let mut endpoints = kept::take_object(&mut member, ADDITIONAL_ENDPOINTS).unwrap_or_default();
        if let Some(port) = instance.tls_port() {
            endpoints.insert(HTTPS.into(), endpoint(port));
        }
        member.insert(ADDITIONAL_ENDPOINTS.into(), endpoints.into());
        let status = instance.status();
        let is_kept =
            member.get(STATUS).and_then(Value::as_str).is_some_and(|own| read_status(own) == status);
        if !is_kept {
            member.insert(STATUS.into(), word(status).into());
        }
        let shard = instance.get(SHARD).filter(|shard| is_shard(shard));
        if let Some(shard) = shard {
            member.insert(SHARD.into(), shard.clone());
        }
        let is_told = |key: &str, value: &Value| match key {
            FORMAT | "tls_port" => true,
            SHARD => is_shard(value),
            STATUS => value == status.as_str(),
            _ => false,
        };
        let mut metadata = labels::to_labels(instance.fields().filter(|(key, value)| !is_told(key, value)));
        kept::fill(&mut metadata, kept::take_object(&mut member, METADATA).unwrap_or_default());
        if !metadata.is_empty() {
            member.insert(METADATA.into(), metadata.into());
        }
        write_object(member)
    }

    fn decode(&self, _name: &str, data: &[u8]) -> Result<Instance, InstanceError> {
        let mut member = read_object(data)?;
        let mut endpoint = match member.remove(SERVICE_ENDPOINT) {
            Some(Value::Object(endpoint)) => endpoint,
            Some(other) => return Err(wrong(SERVICE_ENDPOINT, "an object", &other)),
            None => return Err(InstanceError::Missing(SERVICE_ENDPOINT)),
        };
        let mut instance =
            Instance::new(take_text(&mut endpoint, "host")?, take_port(&mut endpoint, "port")?);
        instance.check()?;
        if !endpoint.is_empty() {
            member.insert(SERVICE_ENDPOINT.into(), endpoint.into());
        }
        let mut endpoints = kept::take_object(&mut member, ADDITIONAL_ENDPOINTS).unwrap_or_default();
        if let Some(port) = endpoints.get(HTTPS).and_then(|https| port_at(instance.host(), https)) {
            endpoints.remove(HTTPS);
            instance = instance.with_tls_port(port);
        }
        if !endpoints.is_empty() {
            member.insert(ADDITIONAL_ENDPOINTS.into(), endpoints.into());
        }
        let (fields, rest) = read_metadata(kept::take_object(&mut member, METADATA).unwrap_or_default());
        for (key, value) in fields {
            instance = instance.with(key, value);
        }
        if !rest.is_empty() {
            member.insert(METADATA.into(), rest.into());
        }
        if let Some(shard) = member.get(SHARD).filter(|shard| is_shard(shard)) {
            instance = instance.with(SHARD, shard.clone());
            member.remove(SHARD);
        }
        let own = member.get(STATUS).and_then(Value::as_str).unwrap_or_default();
        let status = read_status(own);
        if own == word(status) {
            member.remove(STATUS);
        }
        if status != Status::Up {
            instance = instance.with_status(status);
        }
        Ok(kept::keep(instance, FORMAT, member))
    }

    fn is_instance(&self, name: &str) -> bool {
        name.starts_with(MEMBER)
    }
}

/// Splits metadata into fields of an instance, and the rest: a status is told by the member, so no label tells it.
fn read_metadata(metadata: Fields) -> (Fields, Fields) {
    let (metadata, mut rest) = kept::split(metadata, &RESERVED);
    let mut fields = Fields::new();
    for (key, label) in metadata {
        let is_status = key == STATUS && label.as_str().and_then(Status::from_word).is_some();
        let field = labels::from_label(&key, label);
        if is_status { &mut rest } else { &mut fields }.insert(key, field);
    }
    (fields, rest)
}

/// Returns true for the number of a shard: 32 bits with a sign.
fn is_shard(value: &Value) -> bool {
    value.as_i64().is_some_and(|shard| i32::try_from(shard).is_ok())
}

/// Returns the port of an endpoint that has this host and nothing else.
fn port_at(host: &str, endpoint: &Value) -> Option<u16> {
    let endpoint = endpoint.as_object()?;
    let is_plain = endpoint.len() == 2 && endpoint.get("host").is_some_and(|other| other == host);
    let port = u16::try_from(endpoint.get("port")?.as_u64()?).ok();
    port.filter(|_| is_plain)
}

fn word(status: Status) -> &'static str {
    match status {
        Status::Starting => "STARTING",
        Status::Up => "ALIVE",
        Status::Draining => "STOPPING",
        Status::Down => "STOPPED",
    }
}

fn read_status(word: &str) -> Status {
    match word {
        "STARTING" => Status::Starting,
        "STOPPING" => Status::Draining,
        "STOPPED" | "DEAD" => Status::Down,
        _ => Status::Up,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::arbitrary::{json_value, labels};
    use super::*;

    fn written(instance: &Instance) -> Value {
        let published = Published::new("orders", "id-1", instance, 0);
        serde_json::from_slice(&ServerSet::default().encode(&published).unwrap()).unwrap()
    }

    fn read(member: &Value) -> Instance {
        ServerSet::default().decode("member_0000000001", member.to_string().as_bytes()).unwrap()
    }

    /// Returns a member with further fields.
    fn with(fields: Value) -> Value {
        let endpoint = json!({"host": "10.0.0.1", "port": 8080});
        let mut member = json!({SERVICE_ENDPOINT: endpoint, ADDITIONAL_ENDPOINTS: {}, STATUS: "ALIVE"});
        let Value::Object(fields) = fields else { unreachable!("tests give objects") };
        member.as_object_mut().unwrap().extend(fields);
        member
    }

    #[test]
    fn an_instance_is_a_member_of_the_set() {
        let plain = Instance::new("10.0.0.1", 8080);
        assert_eq!(written(&plain), with(json!({})));
        assert_eq!(read(&with(json!({}))), plain);
        let instance = plain.with_tls_port(8443).with("shard", 3).with_zone("a").with_weight(7);
        let member = with(json!({
            ADDITIONAL_ENDPOINTS: {"https": {"host": "10.0.0.1", "port": 8443}},
            "shard": 3,
            "metadata": {"zone": "a", "weight": "7"},
        }));
        assert_eq!(written(&instance), member);
        assert_eq!(read(&member), instance);
    }

    #[test]
    fn each_status_has_its_word() {
        for (status, word) in [
            (Status::Starting, "STARTING"),
            (Status::Up, "ALIVE"),
            (Status::Draining, "STOPPING"),
            (Status::Down, "STOPPED"),
        ] {
            let member = written(&Instance::new("10.0.0.1", 8080).with_status(status));
            assert_eq!((&member, read(&member).status()), (&with(json!({STATUS: word})), status));
        }
        for (word, status) in [("DEAD", Status::Down), ("WARNING", Status::Up), ("UNKNOWN", Status::Up)] {
            let member = with(json!({STATUS: word}));
            assert_eq!((read(&member).status(), written(&read(&member))), (status, member));
        }
        let revived = read(&with(json!({STATUS: "DEAD"}))).with_status(Status::Up);
        assert_eq!(written(&revived), with(json!({})), "the old word is no more true");
    }

    #[test]
    fn what_another_client_wrote_is_written_again() {
        for fields in [
            json!({"shard": 2_147_483_648_u64, "member_id": 7}),
            json!({SERVICE_ENDPOINT: {"host": "h", "port": 1, "inet": "10.0.0.1", "inet6": "::1"}}),
            json!({ADDITIONAL_ENDPOINTS: {"http-admin": {"host": "h", "port": 2}, "https": {"host": "other", "port": 3}}}),
            json!({"metadata": {"status": "down", "host": "h", "shard": "9", "none": null}}),
        ] {
            let member = with(fields);
            assert_eq!(written(&read(&member)), member);
        }
        assert_eq!(read(&with(json!({"metadata": {"status": "down"}}))).status(), Status::Up);
    }

    #[test]
    fn members_are_told_from_other_nodes_and_have_names_of_digits() {
        let set = ServerSet::at("/twitter/service");
        assert_eq!(set.service_path("root", "role/prod/job").unwrap(), "/twitter/service/role/prod/job");
        assert_eq!(set.naming(true), Naming::Numbered { prefix: "member_" });
        assert!(set.is_instance("member_0000000001"));
        assert!(!set.is_instance("vector_0000000001"));
    }

    #[test]
    fn each_defect_has_its_error() {
        let error = |fields| {
            ServerSet::default()
                .decode("member_1", with(fields).to_string().as_bytes())
                .unwrap_err()
                .to_string()
        };
        assert_eq!(
            error(json!({SERVICE_ENDPOINT: null})),
            r#"field "serviceEndpoint" is null, not an object"#
        );
        assert_eq!(error(json!({SERVICE_ENDPOINT: {"host": "h"}})), r#"field "port" is missing"#);
        let no_endpoint = ServerSet::default().decode("member_1", b"{}");
        assert_eq!(no_endpoint, Err(InstanceError::Missing(SERVICE_ENDPOINT)));
    }

    proptest! {
        #[test]
        fn reading_never_panics(data in proptest::collection::vec(any::<u8>(), 0..200), more in json_value(), member in json_value()) {
            let _ = ServerSet::default().decode("member_1", &data);
            let _ = ServerSet::default().decode("member_1", member.to_string().as_bytes());
            let _ = ServerSet::default().decode("member_1", with(json!({ADDITIONAL_ENDPOINTS: more})).to_string().as_bytes());
        }

        #[test]
        fn reading_undoes_writing(
            host in "[a-z0-9.:-]{1,20}", port in 1u16.., zone in ".*", weight in any::<u32>(), shard in any::<i32>(),
            tags in proptest::collection::vec(".*", 0..4), tls_port in proptest::option::of(1u16..),
            status in proptest::sample::select(vec![Status::Starting, Status::Draining, Status::Down]),
            key in "x[a-z]{1,8}", text in ".*",
        ) {
            let mut instance = Instance::new(host, port).with_zone(zone).with_weight(weight).with_tags(tags);
            instance = instance.with(key, text).with_status(status).with("shard", shard).with_warm_up(1, 2);
            instance = tls_port.map_or(instance.clone(), |port| instance.with_tls_port(port));
            prop_assert_eq!(read(&written(&instance)), instance);
        }

        #[test]
        fn any_member_is_written_again(more in json_value(), metadata in labels()) {
            let endpoints = json!({"https": more, "admin": more});
            for fields in [json!({ADDITIONAL_ENDPOINTS: endpoints, "more": more}), json!({METADATA: metadata})] {
                let instance = read(&with(fields));
                prop_assert_eq!(read(&written(&instance)), instance);
            }
        }
    }
}
