//! Values that a change of the tree replaces.

use bytes::Bytes;
use zk_wire::{UnixMillis, Version, Zxid};

use crate::core::access::shared_acl::SharedAcl;
use crate::core::tree::node::Node;
use crate::core::txn::NodeKind;

/// Values before a change of a node: enough to undo it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Before<'a> {
    /// There was no node. Kind and length are those of the new one, the numbers its parent's.
    Created { kind: NodeKind, data_len: usize, pzxid: Zxid, created_children: i32 },
    /// The node, and a number of its parent.
    Deleted { node: &'a Node, pzxid: Zxid },
    /// Data and what belongs to them.
    Data { data: Option<&'a Bytes>, version: Version, mzxid: Zxid, mtime: UnixMillis },
    /// Counts of a quota, which are set without a transaction of their own.
    Quietly { data: Option<&'a Bytes> },
    /// ACL.
    Acl { acl: &'a SharedAcl, version: Version },
}
