//! Values that a change of the tree replaces.

use bytes::Bytes;
use zk_wire::{UnixMillis, Version, Zxid};

use crate::core::access::shared_acl::SharedAcl;
use crate::core::tree::node::Node;

/// Values before a change of a node: enough to undo it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Before<'a> {
    /// There was no node. The numbers are the parent's.
    Created { pzxid: Zxid, created_children: i32 },
    /// The node, and a number of its parent.
    Deleted { node: &'a Node, pzxid: Zxid },
    /// Data and what belongs to them.
    Data { data: Option<&'a Bytes>, version: Version, mzxid: Zxid, mtime: UnixMillis },
    /// Counts of a quota, which are set without a transaction of their own.
    Quietly { data: Option<&'a Bytes> },
    /// ACL.
    Acl { acl: &'a SharedAcl, version: Version },
}

impl<'a> Before<'a> {
    /// Returns the data of the node, if it had any and they are gone now.
    #[inline]
    pub(crate) fn data(&self) -> Option<&'a Bytes> {
        match *self {
            Self::Deleted { node, .. } => node.data.as_ref(),
            Self::Data { data, .. } | Self::Quietly { data } => data,
            Self::Created { .. } | Self::Acl { .. } => None,
        }
    }
}
