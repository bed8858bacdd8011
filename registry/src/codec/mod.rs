//! Formats of instances in ZooKeeper: where their nodes are, how they are named, and what they contain. Pure.
//!
//! | format | nodes of a service's instances | names | data | who reads and writes it |
//! | --- | --- | --- | --- | --- |
//! | [`Json`] | `/{root}/{service}/*` | session, random number, counter; or the chosen id | `{"host", "port", …}` | this library, the tutorial's programs in Python |
//! | [`Curator::at`] | `/{basePath}/{name}/*` | the id | Curator's JSON, further fields in `payload` | Apache Curator's `curator-x-discovery` |
//! | [`Curator::spring_cloud`] | `/services/{name}/*` | the id | Curator's JSON, further fields in `payload.metadata` | Spring Cloud ZooKeeper |
//! | [`ServerSet`] | `/{path}/{service}/member_*` | `member_` and digits | `serviceEndpoint`, `additionalEndpoints`, `status`, … | Finagle, `twitter/commons` in Java and Python |
//! | [`Dubbo`], read only | `/dubbo/{interface}/providers/*` | a URL, encoded | none is read | Apache Dubbo writes it |
//!
//! All paths are below the chroot. The named fields of an [`Instance`], its status, weight, zone, tags, TLS port and warm-up, are
//! written and read in all formats, each in the way that the format's other readers know, as far as they know it. Fields of
//! others that have no name here are kept: an instance that is read and published again in the same format loses none.

#[cfg(test)]
mod arbitrary;
mod base;
mod curator;
mod dubbo;
mod json;
mod kept;
mod labels;
mod server_set;
mod spring;

use std::any::Any;
use std::fmt;

use bytes::Bytes;

use crate::instance::{Instance, InstanceError};
use crate::service::NameError;

pub use curator::Curator;
pub use dubbo::Dubbo;
pub use json::Json;
pub use server_set::ServerSet;

/// Format of a service's instances in ZooKeeper. [`Json`] is the default.
///
/// Registrations write with it ([`RegisterOptions::codecs`](crate::RegisterOptions)), subscriptions read with it
/// ([`SubscribeOptions::codecs`](crate::SubscribeOptions)).
///
/// A format of your own has its nodes where you like:
/// ```
/// use bytes::Bytes;
/// use registry::codec::{Codec, Json, Naming, Published};
/// use registry::{Instance, InstanceError, NameError};
///
/// /// Nodes whose data is `host:port`.
/// #[derive(Debug)]
/// struct Plain;
///
/// impl Codec for Plain {
///     fn service_path(&self, _root: &str, service: &str) -> Result<String, NameError> {
///         Json.service_path("plain", service)
///     }
///
///     fn services_path(&self, _root: &str) -> Result<String, NameError> {
///         Json.services_path("plain")
///     }
///
///     fn naming(&self, is_named: bool) -> Naming {
///         Json.naming(is_named)
///     }
///
///     fn encode(&self, of: &Published<'_>) -> Result<Bytes, InstanceError> {
///         Ok(of.instance.addr().into())
///     }
///
///     fn decode(&self, _name: &str, data: &[u8]) -> Result<Instance, InstanceError> {
///         let address = std::str::from_utf8(data).ok().and_then(|text| text.rsplit_once(':'));
///         let (host, port) = address.ok_or_else(|| InstanceError::Other("no host:port".to_owned()))?;
///         let port = port.parse().map_err(|_| InstanceError::Port(port.to_owned()))?;
///         Ok(Instance::new(host, port))
///     }
/// }
///
/// let instance = Instance::new("10.0.0.1", 8080);
/// let data = Plain.encode(&Published::new("demo", "a", &instance, 0))?;
/// assert_eq!(Plain.decode("a", &data)?, instance);
/// # Ok::<(), InstanceError>(())
/// ```
pub trait Codec: Any + fmt::Debug + Send + Sync {
    /// Returns the path of the node whose children are the instances, below the chroot. `root` is that of the registry, and
    /// may be empty.
    ///
    /// # Errors
    /// The rule that the name breaks.
    fn service_path(&self, root: &str, service: &str) -> Result<String, NameError>;

    /// Returns the path of the node whose children are the services, below the chroot.
    ///
    /// # Errors
    /// The rule that the root breaks.
    fn services_path(&self, root: &str) -> Result<String, NameError>;

    /// Returns the name of the service that a child of [`services_path`](Self::services_path) is; `None` if it is none.
    fn service_name(&self, child: &str) -> Option<String> {
        Some(child.to_owned())
    }

    /// Returns the way to name an instance's node. `is_named` is true if the user has chosen the instance's id.
    fn naming(&self, is_named: bool) -> Naming;

    /// Returns the kind of the service's node and of its missing parents.
    fn parents(&self) -> Parents {
        Parents::Persistent
    }

    /// Returns the data of an instance's node.
    ///
    /// # Errors
    /// The reason why the instance cannot be written in this format.
    fn encode(&self, of: &Published<'_>) -> Result<Bytes, InstanceError>;

    /// Reads an instance's node: its name and its data.
    ///
    /// # Errors
    /// The first defect.
    fn decode(&self, name: &str, data: &[u8]) -> Result<Instance, InstanceError>;

    /// Returns true if a child of the service's node should be an instance; others are ignored.
    fn is_instance(&self, name: &str) -> bool {
        let _ = name;
        true
    }

    /// Returns false if the name of a node has all that [`decode`](Self::decode) needs: then nodes are not read.
    fn reads_data(&self) -> bool {
        true
    }
}

/// Instance to write, with what formats say of it beside.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Published<'a> {
    /// Name of the service.
    pub service: &'a str,
    /// Id of the instance: the user's choice, or a random UUID that stays the same as long as the registration lives.
    pub id: &'a str,
    /// Instance.
    pub instance: &'a Instance,
    /// Time of the registration, in milliseconds since 1970.
    pub registered_at: u64,
}

impl<'a> Published<'a> {
    /// Describes an instance of a service, as registrations do before they write it.
    #[must_use]
    pub fn new(service: &'a str, id: &'a str, instance: &'a Instance, registered_at: u64) -> Self {
        Self { service, id, instance, registered_at }
    }
}

/// Way to name an instance's node.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Naming {
    /// Ephemeral sequential: the prefix, a GUID, a hyphen, and the server's counter.
    Sequential {
        /// Beginning of the name.
        prefix: &'static str,
    },
    /// Like [`Sequential`](Self::Sequential), but with decimal digits alone behind the prefix, the first of them no zero: some
    /// readers take what follows the prefix for a number.
    Numbered {
        /// Beginning of the name.
        prefix: &'static str,
    },
    /// Ephemeral: the instance's id. A newer instance of the same id takes the place of an older one.
    Id,
}

impl Naming {
    /// Returns the name up to the server's counter, with a session's id and a random number as the GUID; `None` if the name is
    /// the instance's id. All beginnings of one prefix have the same length.
    #[must_use]
    pub fn beginning(self, session: u64, random: u64) -> Option<String> {
        match self {
            Self::Sequential { prefix } => Some(format!("{prefix}{session:016x}{random:016x}-")),
            Self::Numbered { prefix } => Some(format!("{prefix}1{session:020}{random:020}")),
            Self::Id => None,
        }
    }

    /// Returns true if a name has a GUID and a counter, as this naming makes them: no other node will ever have it.
    pub(crate) fn is_unique(self, name: &str) -> bool {
        const COUNTER: usize = 10;
        let (Self::Sequential { prefix } | Self::Numbered { prefix }) = self else { return false };
        let Some(beginning) = self.beginning(0, 0) else { return false };
        let alike = |(new, zero): (u8, u8)| match zero {
            b'0' | b'1' => new.is_ascii_hexdigit(),
            other => new == other,
        };
        name.len() == beginning.len() + COUNTER
            && name.starts_with(prefix)
            && name.bytes().zip(beginning.bytes()).skip(prefix.len()).all(alike)
    }
}

/// Kind of a service's node and of its missing parents.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Parents {
    /// They stay.
    Persistent,
    /// ZooKeeper removes them some time after their last child.
    Container,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_beginning_holds_the_session_and_has_always_the_same_length() {
        let sequential = Naming::Sequential { prefix: "p-" };
        assert_eq!(sequential.beginning(0xab, 1).as_deref(), Some("p-00000000000000ab0000000000000001-"));
        let numbered = Naming::Numbered { prefix: "member_" };
        let short = numbered.beginning(0, 7).unwrap();
        assert_eq!(short, "member_10000000000000000000000000000000000000007");
        assert_eq!(numbered.beginning(u64::MAX, u64::MAX).unwrap().len(), short.len());
        assert_eq!(Naming::Id.beginning(1, 1), None);
    }

    #[test]
    fn only_a_name_with_a_guid_never_comes_again() {
        for naming in [Naming::Sequential { prefix: "p-" }, Naming::Numbered { prefix: "member_" }] {
            let name = naming.beginning(u64::MAX, 7).unwrap() + "0000000003";
            assert!(naming.is_unique(&name), "{name}");
            assert!(!naming.is_unique(&name[1..]) && !Naming::Id.is_unique(&name));
        }
        let sequential = Naming::Sequential { prefix: "" };
        for name in ["host-7", "member_0000000003", "67c8a5d2-27b2-4b8b-9dd9-5d0b6a0d5fd1", "äö"] {
            assert!(!sequential.is_unique(name), "{name}");
        }
    }
}
