//! The format of the tutorial: a JSON object with `host` and `port`.

use bytes::Bytes;

use super::{Codec, Naming, Published};
use crate::instance::{Instance, InstanceError};
use crate::service::{self, NameError};

/// A JSON object, `{"host": "...", "port": N}`, with the further fields beside these two; see [`Instance::to_json`]. The node
/// of a service is `/{root}/{service}`.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Json;

impl Codec for Json {
    fn service_path(&self, root: &str, service: &str) -> Result<String, NameError> {
        service::service_path(root, service)
    }

    fn services_path(&self, root: &str) -> Result<String, NameError> {
        service::services_path(root)
    }

    fn naming(&self, is_named: bool) -> Naming {
        if is_named { Naming::Id } else { Naming::Sequential { prefix: "" } }
    }

    fn encode(&self, of: &Published<'_>) -> Result<Bytes, InstanceError> {
        of.instance.to_json()
    }

    fn decode(&self, _name: &str, data: &[u8]) -> Result<Instance, InstanceError> {
        Instance::from_json(data)
    }
}
