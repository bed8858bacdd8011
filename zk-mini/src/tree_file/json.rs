//! Trees in JSON. YAML has JSON in it, but no key of more than 1,024 characters on one line, and paths may be longer.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};

use super::TreeFileError;
use super::entry::{Entry, Path};

/// Returns the nodes of a text that is JSON.
///
/// # Errors
/// [`TreeFileError`]
pub(super) fn parse(text: &str) -> Result<BTreeMap<Path, Option<Entry>>, TreeFileError> {
    let parsed = serde_json::from_str(text).map(|Nodes(nodes)| nodes);
    parsed.map_err(|error| {
        let (line, column) = (error.line(), error.column());
        let text = error.to_string();
        // The place is told once.
        let place = format!(" at line {line} column {column}");
        let message = text.strip_suffix(&place).unwrap_or(&text).into();
        TreeFileError { line: line as u64, column: column as u64, message }
    })
}

/// Nodes by path, each of which is there once.
struct Nodes(BTreeMap<Path, Option<Entry>>);

impl<'de> Deserialize<'de> for Nodes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Once;

        impl<'de> Visitor<'de> for Once {
            type Value = Nodes;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a mapping of paths to nodes")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Nodes, A::Error> {
                let mut nodes = BTreeMap::new();
                while let Some(path) = map.next_key::<Path>()? {
                    if nodes.contains_key(&path) {
                        return Err(A::Error::custom(format!("{} is there twice", path.0)));
                    }
                    nodes.insert(path, map.next_value()?);
                }
                Ok(Nodes(nodes))
            }
        }

        deserializer.deserialize_map(Once)
    }
}
