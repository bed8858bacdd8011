//! Kinds of nodes to create.

use std::time::Duration;

use bytes::Bytes;
use zk_wire::{Acl, ByteString, Create, Create2, CreateContainer, CreateTtl, MultiOp};

/// Kind of a node to create.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum CreateMode {
    /// Stays until it is deleted.
    Persistent,
    /// Persistent, with the parent's counter appended to the name.
    PersistentSequential,
    /// Goes with the session that created it.
    Ephemeral,
    /// Ephemeral, with the parent's counter appended to the name.
    EphemeralSequential,
    /// Goes some time after its last child has gone.
    Container,
    /// Goes when it has had no change and no children for this time: whole milliseconds, from 1 up to 34 years; other times
    /// get `BAD_ARGUMENTS`. Servers answer `UNIMPLEMENTED` unless they are started with
    /// `zookeeper.extendedTypesEnabled=true`.
    PersistentWithTtl(Duration),
    /// The same, with the parent's counter appended to the name.
    PersistentSequentialWithTtl(Duration),
}

/// Request that creates a node: the operation depends on the mode.
pub(crate) enum CreateRequest {
    Plain(Create2),
    Container(CreateContainer),
    Ttl(CreateTtl),
}

impl CreateMode {
    /// Returns true if the parent's counter is appended to the name.
    #[must_use]
    pub fn is_sequential(self) -> bool {
        self.on_wire().is_sequential()
    }

    /// Returns true if the node goes with its session.
    #[must_use]
    pub fn is_ephemeral(self) -> bool {
        self.on_wire().is_ephemeral()
    }

    /// Returns the request that creates a node of this kind.
    pub(crate) fn request(self, path: ByteString, data: Bytes, acl: &[Acl]) -> CreateRequest {
        let (data, acl, flags) = (Some(data), Some(acl.to_vec()), self.on_wire().flags());
        match self {
            Self::Container => CreateRequest::Container(CreateContainer { path, data, acl, flags }),
            Self::PersistentWithTtl(ttl) | Self::PersistentSequentialWithTtl(ttl) => {
                // Servers refuse a time that is too long.
                let ttl = i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX);
                CreateRequest::Ttl(CreateTtl { path, data, acl, flags, ttl })
            }
            _ => CreateRequest::Plain(Create2 { path, data, acl, flags }),
        }
    }

    fn on_wire(self) -> zk_wire::CreateMode {
        match self {
            Self::Persistent => zk_wire::CreateMode::Persistent,
            Self::PersistentSequential => zk_wire::CreateMode::PersistentSequential,
            Self::Ephemeral => zk_wire::CreateMode::Ephemeral,
            Self::EphemeralSequential => zk_wire::CreateMode::EphemeralSequential,
            Self::Container => zk_wire::CreateMode::Container,
            Self::PersistentWithTtl(_) => zk_wire::CreateMode::PersistentWithTtl,
            Self::PersistentSequentialWithTtl(_) => zk_wire::CreateMode::PersistentSequentialWithTtl,
        }
    }
}

impl From<CreateRequest> for MultiOp {
    fn from(request: CreateRequest) -> Self {
        match request {
            // Not create2: Apache ZooKeeper 3.8 loses it when it replays its log.
            CreateRequest::Plain(Create2 { path, data, acl, flags }) => {
                Self::Create(Create { path, data, acl, flags })
            }
            CreateRequest::Container(request) => Self::CreateContainer(request),
            CreateRequest::Ttl(request) => Self::CreateTtl(request),
        }
    }
}
