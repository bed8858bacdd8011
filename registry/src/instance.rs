//! An instance: an address and further fields, as the JSON that is a node's data. Pure.

use bytes::Bytes;
use serde_json::{Map, Value};

use crate::fields::{Fields, HOST, PORT};
use crate::status::Status;
use crate::warm_up::warm_up;

const STATUS: &str = "status";
const WEIGHT: &str = "weight";
const ZONE: &str = "zone";
const TAGS: &str = "tags";
const TLS_PORT: &str = "tls_port";
const STARTED: &str = "started_ms";
const WARM_UP: &str = "warm_up_ms";

/// Weight of an instance that names none.
const FULL_WEIGHT: u32 = 100;

/// One running server of a service: the address that it listens on, and further fields of its choice.
///
/// Its data in ZooKeeper is a JSON object, `{"host": "...", "port": N}`, with the further fields beside these two.
///
/// ```
/// use registry::Instance;
///
/// let instance = Instance::new("127.0.0.1", 8080).with("pid", 4711);
/// assert_eq!(instance.addr(), "127.0.0.1:8080");
/// assert_eq!(&instance.to_json()?[..], br#"{"host":"127.0.0.1","pid":4711,"port":8080}"#);
/// assert_eq!(Instance::from_json(&instance.to_json()?)?, instance);
/// # Ok::<(), registry::InstanceError>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Instance {
    host: String,
    port: u16,
    extra: Map<String, Value>,
}

impl Instance {
    /// Describes an instance at `host:port`. Registering it, or writing it as JSON, checks it.
    #[must_use]
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        Self { host: host.into(), port, extra: Map::new() }
    }

    /// Adds or replaces a further field. The fields `host` and `port` stay those of [`Instance::new`].
    #[must_use]
    pub fn with(mut self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        let key = key.into();
        if key != HOST && key != PORT {
            self.extra.insert(key, value.into());
        }
        self
    }

    /// Sets the status. Default: [`Status::Up`].
    #[must_use]
    pub fn with_status(self, status: Status) -> Self {
        self.with(STATUS, status.as_str())
    }

    /// Sets the share of work, compared with the weights of the others; 0 takes none. Default: 100.
    #[must_use]
    pub fn with_weight(self, weight: u32) -> Self {
        self.with(WEIGHT, weight)
    }

    /// Sets the zone: a failure domain such as a data center or a rack.
    #[must_use]
    pub fn with_zone(self, zone: impl Into<String>) -> Self {
        self.with(ZONE, zone.into())
    }

    /// Sets the tags: words that subscribers filter by.
    #[must_use]
    pub fn with_tags<T: Into<String>>(self, tags: impl IntoIterator<Item = T>) -> Self {
        self.with(TAGS, tags.into_iter().map(Into::into).collect::<Vec<String>>())
    }

    /// Sets a port of the same host that speaks TLS.
    #[must_use]
    pub fn with_tls_port(self, port: u16) -> Self {
        self.with(TLS_PORT, port)
    }

    /// Lets the weight grow from almost nothing to its full value, over `warm_up_ms` from `started_ms` on, in milliseconds
    /// since 1970: a process that has just started is slow.
    #[must_use]
    pub fn with_warm_up(self, started_ms: u64, warm_up_ms: u64) -> Self {
        self.with(STARTED, started_ms).with(WARM_UP, warm_up_ms)
    }

    /// Returns the status. An instance that says none, or an unknown word, is up.
    #[must_use]
    pub fn status(&self) -> Status {
        self.get(STATUS).and_then(Value::as_str).and_then(Status::from_word).unwrap_or_default()
    }

    /// Returns the weight that it was given, without regard to a warm-up.
    #[must_use]
    pub fn weight(&self) -> u32 {
        let weight = self.get(WEIGHT).and_then(Value::as_u64);
        weight.map_or(FULL_WEIGHT, |weight| u32::try_from(weight).unwrap_or(u32::MAX))
    }

    /// Returns the weight at a time, in milliseconds since 1970: less than [`Self::weight`] during the warm-up, but never
    /// less than 1 because of it.
    #[must_use]
    pub fn weight_at(&self, now_ms: u64) -> u32 {
        let full = self.weight();
        let number = |key| self.get(key).and_then(Value::as_u64);
        let (Some(started), Some(time)) = (number(STARTED), number(WARM_UP)) else { return full };
        warm_up(full, now_ms.saturating_sub(started), time)
    }

    pub(crate) fn has_warm_up(&self) -> bool {
        self.get(WARM_UP).is_some()
    }

    /// Returns the zone; `None` if it names none.
    #[must_use]
    pub fn zone(&self) -> Option<&str> {
        self.get(ZONE).and_then(Value::as_str)
    }

    /// Returns the tags.
    pub fn tags(&self) -> impl Iterator<Item = &str> {
        self.get(TAGS).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
    }

    /// Returns the port that speaks TLS; `None` if it names none.
    #[must_use]
    pub fn tls_port(&self) -> Option<u16> {
        self.get(TLS_PORT).and_then(Value::as_u64).and_then(|port| u16::try_from(port).ok())
    }

    /// Returns the host: a name or an address.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Returns the port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns the address to connect to: `host:port`, with an IPv6 address in brackets.
    #[must_use]
    pub fn addr(&self) -> String {
        if self.host.contains(':') && !self.host.starts_with('[') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// Returns a further field.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.extra.get(key)
    }

    /// Returns all further fields.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.extra.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// Reads a node's data.
    ///
    /// # Errors
    /// The first defect.
    pub fn from_json(data: &[u8]) -> Result<Self, InstanceError> {
        let instance = match serde_json::from_slice(data) {
            Ok(Fields { host, port, extra }) => Self { host, port, extra },
            // Once more, for the words that say what is wrong.
            Err(_) => {
                let mut fields = read_object(data)?;
                let (host, port) = (take_text(&mut fields, HOST)?, take_port(&mut fields, PORT)?);
                Self { host, port, extra: fields }
            }
        };
        instance.check()?;
        Ok(instance)
    }

    /// Returns a node's data: at most [`Instance::MAX_BYTES`], which no server refuses.
    ///
    /// # Errors
    /// [`InstanceError::EmptyHost`], [`InstanceError::Host`] and [`InstanceError::Port`] if host and port cannot be an
    /// address; [`InstanceError::TooLarge`].
    pub fn to_json(&self) -> Result<Bytes, InstanceError> {
        self.check()?;
        let mut fields = self.extra.clone();
        fields.insert(HOST.into(), self.host.clone().into());
        fields.insert(PORT.into(), self.port.into());
        write_object(fields)
    }

    /// Maximum size of an instance as JSON, in bytes. A ZooKeeper node holds almost 1 MiB, but every subscriber reads every
    /// instance.
    pub const MAX_BYTES: usize = 256 * 1024;

    /// Checks that host and port can be an address.
    pub(crate) fn check(&self) -> Result<(), InstanceError> {
        if self.host.is_empty() {
            return Err(InstanceError::EmptyHost);
        }
        if self.host.contains(|c: char| c.is_whitespace() || c.is_control() || c == '/') {
            return Err(InstanceError::Host(self.host.clone()));
        }
        if self.port == 0 {
            return Err(InstanceError::Port("0".into()));
        }
        Ok(())
    }
}

/// Defect of a node's data, or of an instance to register.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum InstanceError {
    /// No data: a parent of other nodes, or an instance that has not written yet.
    #[error("no data")]
    Empty,
    /// The data is not JSON, or not UTF-8. The text is the parser's message.
    #[error("not JSON: {0}")]
    NotJson(String),
    /// The data is JSON, but not an object.
    #[error("{0}, not a JSON object")]
    NotAnObject(&'static str),
    /// A field is missing.
    #[error("field {0:?} is missing")]
    Missing(&'static str),
    /// A field has the wrong type.
    #[error("field {field:?} is {found}, not {expected}")]
    WrongType {
        /// Name of the field.
        field: &'static str,
        /// Expected type.
        expected: &'static str,
        /// Type of the value.
        found: &'static str,
    },
    /// The host is the empty string.
    #[error("host is empty")]
    EmptyHost,
    /// The host has a character that no name and no address has.
    #[error("host {0:?} is neither a name nor an address")]
    Host(String),
    /// The port cannot be connected to.
    #[error("port {0} is not in 1..=65535")]
    Port(String),
    /// The name of the node is not the URL that it should be.
    #[error("the node's name is no URL of a provider: {0}")]
    NotAUrl(&'static str),
    /// The format can be read, but not written.
    #[error("the format {0} can only be read; register with another one")]
    ReadOnly(&'static str),
    /// A defect that a format of your own has found. The text says it.
    #[error("{0}")]
    Other(String),
    /// The instance is larger than [`Instance::MAX_BYTES`].
    #[error("instance has {0} bytes as JSON, at most {max} are allowed: keep large data elsewhere", max = Instance::MAX_BYTES)]
    TooLarge(usize),
}

/// Reads a JSON object.
pub(crate) fn read_object(data: &[u8]) -> Result<Map<String, Value>, InstanceError> {
    if data.is_empty() {
        return Err(InstanceError::Empty);
    }
    match serde_json::from_slice(data).map_err(|e| InstanceError::NotJson(e.to_string()))? {
        Value::Object(fields) => Ok(fields),
        other => Err(InstanceError::NotAnObject(kind(&other))),
    }
}

/// Writes a JSON object of at most [`Instance::MAX_BYTES`].
pub(crate) fn write_object(fields: Map<String, Value>) -> Result<Bytes, InstanceError> {
    let json = Value::Object(fields).to_string();
    if json.len() > Instance::MAX_BYTES {
        return Err(InstanceError::TooLarge(json.len()));
    }
    Ok(json.into())
}

/// Takes a string out of an object.
pub(crate) fn take_text(
    fields: &mut Map<String, Value>,
    field: &'static str,
) -> Result<String, InstanceError> {
    match fields.remove(field) {
        Some(Value::String(text)) => Ok(text),
        Some(other) => Err(wrong(field, "a string", &other)),
        None => Err(InstanceError::Missing(field)),
    }
}

/// Takes a number of a port out of an object.
pub(crate) fn take_port(fields: &mut Map<String, Value>, field: &'static str) -> Result<u16, InstanceError> {
    match fields.remove(field) {
        Some(Value::Number(port)) => port
            .as_u64()
            .and_then(|port| u16::try_from(port).ok())
            .ok_or_else(|| InstanceError::Port(port.to_string())),
        Some(other) => Err(wrong(field, "a number", &other)),
        None => Err(InstanceError::Missing(field)),
    }
}

/// Returns the error for a value of the wrong type.
pub(crate) fn wrong(field: &'static str, expected: &'static str, found: &Value) -> InstanceError {
    InstanceError::WrongType { field, expected, found: kind(found) }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_defect_has_its_error() {
        let error = |data: &str| Instance::from_json(data.as_bytes()).unwrap_err().to_string();
        assert_eq!(error(""), "no data");
        assert!(error("{").starts_with("not JSON: EOF"));
        assert_eq!(error("[]"), "an array, not a JSON object");
        assert_eq!(error(r#"{"port":1}"#), r#"field "host" is missing"#);
        assert_eq!(error(r#"{"host":"a"}"#), r#"field "port" is missing"#);
        assert_eq!(error(r#"{"host":7,"port":1}"#), r#"field "host" is a number, not a string"#);
        assert_eq!(error(r#"{"host":"a","port":"1"}"#), r#"field "port" is a string, not a number"#);
        assert_eq!(error(r#"{"host":"","port":1}"#), "host is empty");
        assert_eq!(error(r#"{"host":"a b","port":1}"#), r#"host "a b" is neither a name nor an address"#);
        for port in ["0", "-1", "65536", "1.5", "1e3"] {
            let message = error(&format!(r#"{{"host":"a","port":{port}}}"#));
            assert!(message.ends_with("is not in 1..=65535"), "{message}");
        }
        assert!(matches!(Instance::from_json(b"\xff"), Err(InstanceError::NotJson(_))));
    }

    #[test]
    fn an_instance_without_a_valid_address_is_not_written() {
        assert_eq!(Instance::new("", 1).to_json(), Err(InstanceError::EmptyHost));
        assert_eq!(Instance::new("a", 0).to_json(), Err(InstanceError::Port("0".into())));
        let large = Instance::new("a", 1).with("x", "y".repeat(Instance::MAX_BYTES));
        assert!(matches!(large.to_json(), Err(InstanceError::TooLarge(_))));
    }

    #[test]
    fn an_ipv6_address_is_put_in_brackets() {
        assert_eq!(Instance::new("::1", 80).addr(), "[::1]:80");
        assert_eq!(Instance::new("[::1]", 80).addr(), "[::1]:80");
    }

    #[test]
    fn the_named_fields_are_fields_of_the_json_and_have_defaults() {
        let plain = Instance::new("a", 1);
        assert_eq!((plain.status(), plain.weight(), plain.zone()), (Status::Up, 100, None));
        assert_eq!((plain.tags().count(), plain.tls_port()), (0, None));
        let instance =
            plain.with_status(Status::Draining).with_weight(7).with_zone("z").with_tags(["x", "y"]);
        let instance = instance.with_tls_port(443);
        let json = String::from_utf8(instance.to_json().unwrap().to_vec()).unwrap();
        assert_eq!(
            json,
            r#"{"host":"a","port":1,"status":"draining","tags":["x","y"],"tls_port":443,"weight":7,"zone":"z"}"#
        );
        assert_eq!((instance.status(), instance.weight(), instance.zone()), (Status::Draining, 7, Some("z")));
        assert_eq!((instance.tags().collect::<Vec<_>>(), instance.tls_port()), (vec!["x", "y"], Some(443)));
        let foreign = Instance::new("a", 1).with("status", "ok").with("weight", "heavy").with("tags", 3);
        assert_eq!((foreign.status(), foreign.weight(), foreign.tags().count()), (Status::Up, 100, 0));
    }

    #[test]
    fn the_weight_grows_during_the_warm_up() {
        let instance = Instance::new("a", 1).with_weight(50).with_warm_up(1_000, 100);
        let weights = [0, 1_000, 1_002, 1_050, 1_099, 1_100, u64::MAX].map(|now| instance.weight_at(now));
        assert_eq!(weights, [1, 1, 1, 25, 49, 50, 50]);
        assert_eq!(instance.with_weight(0).weight_at(1_050), 0, "no work at all");
    }

    #[test]
    fn further_fields_do_not_hide_the_address() {
        let instance = Instance::new("a", 1).with("port", 2).with("weight", 3);
        let read = Instance::from_json(&instance.to_json().unwrap()).unwrap();
        assert_eq!((read.port(), read.get("weight")), (1, Some(&Value::from(3))));
        assert_eq!(read.fields().collect::<Vec<_>>(), [("weight", &Value::from(3))]);
    }

    #[test]
    fn a_field_that_comes_twice_has_its_last_value() {
        let read = |data: &str| Instance::from_json(data.as_bytes());
        let twice = read(r#"{"host":7,"port":70000,"x":1,"host":"b","x":[2],"po\u0072t":5}"#).unwrap();
        assert_eq!(twice, Instance::new("b", 5).with("x", vec![2]));
        let last_is_wrong = read(r#"{"host":"a","port":1,"host":7}"#).unwrap_err();
        assert_eq!(last_is_wrong.to_string(), r#"field "host" is a number, not a string"#);
    }

    proptest! {
        #[test]
        fn reading_never_panics(data in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Instance::from_json(&data);
        }

        #[test]
        fn reading_undoes_writing(host in "[a-z0-9.:-]{1,20}", port in 1u16.., key in "[a-z]{1,8}", text in ".*") {
            let instance = Instance::new(host, port).with(key, text);
            prop_assert_eq!(Instance::from_json(&instance.to_json().unwrap()).unwrap(), instance);
        }
    }
}
