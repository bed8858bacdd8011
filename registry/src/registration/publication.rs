//! Nodes of an instance: their names and their data, in each format.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use zk_wire::path;

use crate::codec::{Codec, Naming, Published};
use crate::error::Error;
use crate::instance::{Instance, InstanceError};
use crate::service::NameError;

/// All that stays the same while an instance is registered.
#[derive(Debug)]
pub(crate) struct Publication {
    service: Arc<str>,
    id: Arc<str>,
    is_named: bool,
    codecs: Vec<Arc<dyn Codec>>,
    /// Time of the registration, in milliseconds since 1970.
    registered_at: u64,
    warm_up: Option<Duration>,
}

impl Publication {
    /// Checks the id; without one, the seed gives a random one.
    pub(crate) fn new(
        service: Arc<str>,
        id: Option<String>,
        codecs: Vec<Arc<dyn Codec>>,
        registered_at: u64,
        warm_up: Option<Duration>,
        seed: u64,
    ) -> Result<Self, Error> {
        let is_named = id.is_some();
        let id = match id {
            Some(id) => checked(id)?,
            None => uuid(seed),
        };
        Ok(Self { service, id: id.into(), is_named, codecs, registered_at, warm_up })
    }

    pub(crate) fn id(&self) -> &Arc<str> {
        &self.id
    }

    /// Returns the ways to name the nodes, one for each format.
    pub(crate) fn names(&self) -> Vec<Naming> {
        self.codecs.iter().map(|codec| codec.naming(self.is_named)).collect()
    }

    /// Returns the data of the nodes, one for each format.
    pub(crate) fn encode(&self, instance: &Instance) -> Result<Arc<[Bytes]>, InstanceError> {
        let warming = self.warm_up.filter(|_| !instance.has_warm_up()).map(|time| {
            let time = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
            instance.clone().with_warm_up(self.registered_at, time)
        });
        let instance = warming.as_ref().unwrap_or(instance);
        let of = Published::new(&self.service, &self.id, instance, self.registered_at);
        self.codecs.iter().map(|codec| codec.encode(&of)).collect()
    }
}

fn checked(id: String) -> Result<String, Error> {
    let defect = if id.is_empty() {
        Some(NameError::Empty)
    } else if id.contains('/') {
        Some(NameError::Slash)
    } else {
        path::validate(&format!("/{id}")).err().map(NameError::Path)
    };
    match defect {
        Some(reason) => Err(Error::Id { id, reason }),
        None => Ok(id),
    }
}

/// Returns a random UUID: version 4, variant 1.
fn uuid(seed: u64) -> String {
    let mut random = fastrand::Rng::with_seed(seed);
    let (high, low) = (random.u64(..), random.u64(..));
    format!(
        "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
        high >> 32,
        (high >> 16) & 0xffff,
        high & 0xfff,
        0x8000 | (low >> 48) & 0x3fff,
        low & 0xffff_ffff_ffff
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Json;

    fn publication(id: Option<&str>) -> Result<Publication, Error> {
        let codecs: Vec<Arc<dyn Codec>> = vec![Arc::new(Json)];
        let warm_up = Some(Duration::from_secs(3));
        Publication::new("demo".into(), id.map(Into::into), codecs, 1_000, warm_up, 7)
    }

    #[test]
    fn an_id_is_one_part_of_a_path() {
        assert_eq!(publication(Some("a b")).unwrap().names(), [Naming::Id]);
        for (id, message) in [
            ("", "\"\" cannot be the id of an instance: it is empty"),
            ("a/b", "\"a/b\" cannot be the id of an instance: it has a \"/\""),
        ] {
            assert_eq!(publication(Some(id)).unwrap_err().to_string(), message);
        }
        assert!(matches!(publication(Some("..")), Err(Error::Id { reason: NameError::Path(_), .. })));
    }

    #[test]
    fn an_instance_without_an_id_gets_a_uuid_that_stays() {
        let publication = publication(None).unwrap();
        assert_eq!(publication.names(), [Naming::Sequential { prefix: "" }]);
        let parts: Vec<_> = publication.id.split('-').map(str::len).collect();
        assert_eq!(parts, [8, 4, 4, 4, 12]);
        assert_eq!(&publication.id[14..15], "4");
    }

    #[test]
    fn a_warm_up_begins_with_the_registration_unless_the_instance_names_its_own() {
        let publication = publication(None).unwrap();
        let written = |instance: &Instance| {
            let data = publication.encode(instance).unwrap();
            Instance::from_json(&data[0]).unwrap()
        };
        let plain = Instance::new("a", 1);
        assert_eq!(written(&plain), plain.clone().with_warm_up(1_000, 3_000));
        let own = plain.with_warm_up(5, 6);
        assert_eq!(written(&own), own);
    }
}
