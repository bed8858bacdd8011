//! Nodes that we have made. Pure.

use zk_client::{SessionId, Zxid};

/// A node of ours.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Node {
    pub(crate) path: String,
    /// Session that owns it; [`SessionId::NONE`] for a node that is not ephemeral.
    pub(crate) owner: SessionId,
    /// Transaction that created it.
    pub(crate) created: Zxid,
}
