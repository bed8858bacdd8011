//! An instance: an address and further fields, as the JSON that is a node's data. Pure.

use bytes::Bytes;
use serde_json::{Map, Value};

const HOST: &str = "host";
const PORT: &str = "port";

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
        if data.is_empty() {
            return Err(InstanceError::Empty);
        }
        let value = serde_json::from_slice(data).map_err(|e| InstanceError::NotJson(e.to_string()))?;
        let Value::Object(mut fields) = value else {
            return Err(InstanceError::NotAnObject(kind(&value)));
        };
        let host = match fields.remove(HOST) {
            Some(Value::String(host)) => host,
            Some(other) => return Err(wrong(HOST, "a string", &other)),
            None => return Err(InstanceError::Missing(HOST)),
        };
        let port = match fields.remove(PORT) {
            Some(Value::Number(port)) => port
                .as_u64()
                .and_then(|port| u16::try_from(port).ok())
                .ok_or_else(|| InstanceError::Port(port.to_string()))?,
            Some(other) => return Err(wrong(PORT, "a number", &other)),
            None => return Err(InstanceError::Missing(PORT)),
        };
        let instance = Self { host, port, extra: fields };
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
        let json = Value::Object(fields).to_string();
        if json.len() > Self::MAX_BYTES {
            return Err(InstanceError::TooLarge(json.len()));
        }
        Ok(json.into())
    }

    /// Maximum size of an instance as JSON, in bytes. A ZooKeeper node holds almost 1 MiB, but every subscriber reads every
    /// instance.
    pub const MAX_BYTES: usize = 256 * 1024;

    fn check(&self) -> Result<(), InstanceError> {
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
    /// The instance is larger than [`Instance::MAX_BYTES`].
    #[error("instance has {0} bytes as JSON, at most {max} are allowed: keep large data elsewhere", max = Instance::MAX_BYTES)]
    TooLarge(usize),
}

fn wrong(field: &'static str, expected: &'static str, found: &Value) -> InstanceError {
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
    fn further_fields_do_not_hide_the_address() {
        let instance = Instance::new("a", 1).with("port", 2).with("weight", 3);
        let read = Instance::from_json(&instance.to_json().unwrap()).unwrap();
        assert_eq!((read.port(), read.get("weight")), (1, Some(&Value::from(3))));
        assert_eq!(read.fields().collect::<Vec<_>>(), [("weight", &Value::from(3))]);
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
