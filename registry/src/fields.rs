//! The fields of an instance, read from its JSON without a map of all of them in between: subscribers read thousands. Pure.
//!
//! What cannot be read here may be an instance all the same, and an error does not say what readers of errors need: then
//! [`Instance::from_json`](crate::Instance::from_json) goes by a map.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde_json::{Map, Value};

pub(crate) const HOST: &str = "host";
pub(crate) const PORT: &str = "port";

/// Fields of an instance.
#[derive(Debug, PartialEq)]
pub(crate) struct Fields {
    pub(crate) host: String,
    pub(crate) port: u16,
    /// All others.
    pub(crate) extra: Map<String, Value>,
}

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_map(FieldsVisitor)
    }
}

struct FieldsVisitor;

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = Fields;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with a host and a port")
    }

    /// Of a field that comes twice the last one counts, as in a map.
    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Fields, A::Error> {
        let (mut host, mut port, mut extra) = (None, None, Map::new());
        while let Some(key) = object.next_key()? {
            match key {
                Key::Host => host = Some(object.next_value()?),
                Key::Port => port = Some(object.next_value()?),
                Key::Other(key) => drop(extra.insert(key, object.next_value()?)),
            }
        }
        let host = host.ok_or_else(|| A::Error::missing_field(HOST))?;
        let port = port.ok_or_else(|| A::Error::missing_field(PORT))?;
        Ok(Fields { host, port, extra })
    }
}

/// Name of a field.
enum Key {
    Host,
    Port,
    Other(String),
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_str(KeyVisitor)
    }
}

struct KeyVisitor;

impl Visitor<'_> for KeyVisitor {
    type Value = Key;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a field")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<Key, E> {
        Ok(match key {
            HOST => Key::Host,
            PORT => Key::Port,
            other => Key::Other(other.to_owned()),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::instance::{InstanceError, read_object, take_port, take_text};

    /// Reads an object by a map.
    fn by_map(data: &[u8]) -> Result<Fields, InstanceError> {
        let mut extra = read_object(data)?;
        let (host, port) = (take_text(&mut extra, HOST)?, take_port(&mut extra, PORT)?);
        Ok(Fields { host, port, extra })
    }

    #[test]
    fn an_instance_needs_no_map() {
        let data = br#" {"x":1,"po\u0072t":5,"host":"\u0061b","x":[2]} "#;
        let fields: Fields = serde_json::from_slice(data).unwrap();
        assert_eq!(Ok(&fields), by_map(data).as_ref());
        assert_eq!((&*fields.host, fields.port, &fields.extra["x"]), ("ab", 5, &vec![2].into()));
    }

    proptest! {
        #[test]
        fn what_is_read_is_the_same_as_by_a_map(
            fields in proptest::collection::vec(
                ("host|port|x|", r#""a"|1|0|65535|65536|-0|1\.0|1e2|null|\{"x":\[1\]\}|"\\u0061""#),
                0..5,
            ),
            cut in any::<proptest::sample::Index>(),
            is_cut: bool,
        ) {
            let fields: Vec<_> = fields.iter().map(|(key, value)| format!("{key:?}: {value}")).collect();
            let mut data = format!("{{{}}} ", fields.join(" ,"));
            if is_cut {
                data.truncate(cut.index(data.len()));
            }
            if let Ok(read) = serde_json::from_slice::<Fields>(data.as_bytes()) {
                prop_assert_eq!(Ok(read), by_map(data.as_bytes()), "{}", data);
            }
        }
    }
}
