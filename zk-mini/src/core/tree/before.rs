//! Values that a change of the tree replaces.

use bytes::Bytes;
use zk_wire::{Acl, ByteString, UnixMillis, Version, Zxid};

use crate::core::access::shared_acl::SharedAcl;
use crate::core::tree::node::Node;

/// Values before a change: enough to undo it.
#[derive(Debug)]
pub(crate) enum Before {
    /// There was no node. The numbers are the parent's.
    Created { path: ByteString, pzxid: Zxid, created_children: i32 },
    /// The node, and a number of its parent.
    Deleted { node: Box<(ByteString, Node)>, pzxid: Zxid },
    /// Data and what belongs to them.
    Data { path: ByteString, data: Option<Bytes>, version: Version, mzxid: Zxid, mtime: UnixMillis },
    /// Counts of a quota, which are set without a transaction of their own.
    Quietly { path: ByteString, data: Option<Bytes> },
    /// ACL.
    Acl { path: ByteString, acl: SharedAcl, version: Version },
}

impl Before {
    /// Returns the number of bytes that it takes. Values that are still in use elsewhere count, too.
    #[inline]
    pub(crate) fn weight(&self) -> usize {
        let rest = match self {
            Self::Created { path, .. } => path.len(),
            Self::Deleted { node, .. } => {
                size_of::<(ByteString, Node)>() + node.0.len() + node.1.data_len() + weight_of(&node.1.acl)
            }
            Self::Data { path, data, .. } | Self::Quietly { path, data } => {
                path.len() + data.as_ref().map_or(0, Bytes::len)
            }
            Self::Acl { path, acl, .. } => path.len() + weight_of(acl),
        };
        size_of::<Self>() + rest
    }
}

#[inline(never)]
fn weight_of(acl: &[Acl]) -> usize {
    acl.iter().map(|entry| size_of::<Acl>() + entry.scheme.len() + entry.id.len()).sum()
}
