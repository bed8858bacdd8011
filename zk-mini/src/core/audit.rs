//! Audit: a record of each change that clients ask for, with who asked, as Apache ZooKeeper's audit log has it.

use zk_wire::{ByteString, SessionId, UnixMillis};

/// Change, or an attempt at one, with who asked for it. Fields and names are those of Apache ZooKeeper.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AuditRecord {
    /// Time of the server's clock.
    pub time: UnixMillis,
    /// Number of the server that the client is connected to, from 1; `None` unless it is one of several.
    pub server: Option<usize>,
    /// Session of the client, or the one that has ended; [`SessionId::NONE`] for a write without a session.
    pub session: SessionId,
    /// Identities of the client, with commas: address, users of `digest` and `sasl`. `None` is the server itself. What is written
    /// without a session has the user `http`, or `handle` if the program itself writes it.
    pub user: Option<String>,
    /// Address of the client; `None` is the server itself, or the program.
    pub ip: Option<String>,
    /// Operation.
    pub operation: AuditOperation,
    /// Path of the node; `None` for a multi or a reconfig that was refused.
    pub znode: Option<ByteString>,
    /// Kind of the node that a create makes: `persistent`, `ephemeral_sequential`, …
    pub znode_type: Option<&'static str>,
    /// List that a setACL sets: `scheme:id:perms`, one after the other.
    pub acl: Option<String>,
    /// True if it was done, false if it was refused.
    pub success: bool,
}

/// Operation of an [`AuditRecord`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum AuditOperation {
    /// Create of any kind.
    Create,
    /// Delete.
    Delete,
    /// New data.
    SetData,
    /// New ACL.
    SetAcl,
    /// A multi that was refused; one that is done has a record for each operation.
    Multi,
    /// Reconfig.
    Reconfig,
    /// Deletion of an ephemeral node because its session has ended.
    EphemeralDeletion,
}

impl AuditOperation {
    /// Returns Apache ZooKeeper's name of the operation.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Delete => "delete",
            Self::SetData => "setData",
            Self::SetAcl => "setAcl",
            Self::Multi => "multiOperation",
            Self::Reconfig => "reconfig",
            Self::EphemeralDeletion => "ephemeralZNodeDeletionOnSessionCloseOrExpire",
        }
    }
}

/// Change by a request, for its record.
#[derive(Debug, Default)]
pub(crate) struct AuditedWrite {
    pub(crate) znode: Option<ByteString>,
    pub(crate) znode_type: Option<&'static str>,
    pub(crate) acl: Option<String>,
}

impl AuditedWrite {
    /// Returns a write to the node at `path`.
    pub(crate) fn to(path: Option<&str>) -> Self {
        Self { znode: path.map(ByteString::from), ..Self::default() }
    }
}
