//! The payload that Spring Cloud ZooKeeper puts into Curator's JSON: labels, and a status among them. Pure.

use serde_json::{Map, Value, json};

use super::Published;
use super::kept::{self, Fields};
use super::labels;
use crate::instance::Instance;
use crate::status::Status;

/// Field in which Jackson, the library behind Curator's JSON, writes the class of a payload.
pub(super) const CLASS: &str = "@class";

const INSTANCE_CLASS: &str = "org.springframework.cloud.zookeeper.discovery.ZookeeperInstance";
const METADATA: &str = "metadata";
const INSTANCE_STATUS: &str = "instance_status";
const STATUS: &str = "status";

/// Labels that would mean something else as fields of an [`Instance`].
const RESERVED: [&str; 5] = ["host", "port", "tls_port", "curator", INSTANCE_STATUS];

/// Returns true for a payload of Spring Cloud.
pub(super) fn is_payload(payload: &Value) -> bool {
    payload.as_object().is_some_and(is_class)
}

/// Returns true for an object of Spring Cloud's class.
pub(super) fn is_class(object: &Map<String, Value>) -> bool {
    object.get(CLASS).is_some_and(|class| class == INSTANCE_CLASS)
}

/// Returns the payload: the fields as labels, and what is kept of an earlier payload.
pub(super) fn payload(of: &Published<'_>, kept: Option<Value>, fields: &Fields) -> Value {
    let status = of.instance.status();
    let mut payload = match kept {
        Some(Value::Object(payload)) => payload,
        _ => Fields::new(),
    };
    let mut more = kept::take_object(&mut payload, METADATA).unwrap_or_default();
    let mut metadata = labels::to_labels(fields.iter().map(|(key, value)| (key.as_str(), value)));
    let word = match more.remove(INSTANCE_STATUS).as_ref().and_then(Value::as_str) {
        Some(own) if read_status(own) == read_status(word(status)) => own.to_owned(),
        _ => word(status).to_owned(),
    };
    metadata.insert(INSTANCE_STATUS.into(), word.into());
    kept::fill(&mut metadata, more);
    payload.insert(CLASS.into(), INSTANCE_CLASS.into());
    payload.insert(METADATA.into(), metadata.into());
    payload.entry("id").or_insert_with(|| of.id.into());
    payload.entry("name").or_insert_with(|| of.service.into());
    payload.into()
}

/// Splits a payload into the fields of an instance, and the rest.
pub(super) fn read(mut payload: Fields) -> (Fields, Fields) {
    let metadata = kept::take_object(&mut payload, METADATA).unwrap_or_default();
    let (metadata, mut rest) = kept::split(metadata, &RESERVED);
    let mut fields: Fields = metadata
        .into_iter()
        .map(|(key, label)| {
            let field = labels::from_label(&key, label);
            (key, field)
        })
        .collect();
    let own =
        rest.remove(INSTANCE_STATUS).and_then(|word| word.as_str().map(str::to_owned)).unwrap_or_default();
    let told = read_status(&own);
    let named = fields.get(STATUS).and_then(Value::as_str).and_then(Status::from_word).unwrap_or_default();
    if (told == Status::Up) != (named == Status::Up) {
        fields.insert(STATUS.into(), told.as_str().into());
    }
    if !own.is_empty() && own != word(told) {
        rest.insert(INSTANCE_STATUS.into(), own.into());
    }
    if !rest.is_empty() {
        payload.insert(METADATA.into(), rest.into());
    }
    (fields, payload)
}

/// Returns the field `uriSpec` that Spring Cloud writes by default: `{scheme}://{address}:{port}`. The scheme is `https` if
/// there is a TLS port, so the port is that one then.
pub(super) fn uri_spec(instance: &Instance) -> Fields {
    let part = |value: &str, variable: bool| json!({"value": value, "variable": variable});
    let port = if instance.tls_port().is_some() { "ssl-port" } else { "port" };
    let parts =
        [part("scheme", true), part("://", false), part("address", true), part(":", false), part(port, true)];
    Fields::from_iter([("uriSpec".to_owned(), json!({"parts": parts}))])
}

/// Returns the word for a status. Callers in Java use instances of the word `UP` only.
fn word(status: Status) -> &'static str {
    match status {
        Status::Up => "UP",
        Status::Starting => "STARTING",
        Status::Draining | Status::Down => "OUT_OF_SERVICE",
    }
}

/// Reads a word for a status; an empty one is up, an unknown one is down, as it is for callers in Java.
fn read_status(word: &str) -> Status {
    if word.trim().is_empty() || word.eq_ignore_ascii_case("UP") {
        Status::Up
    } else if word == "STARTING" {
        Status::Starting
    } else {
        Status::Down
    }
}
