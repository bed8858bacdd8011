//! Node of the tree.

use std::sync::OnceLock;

use bytes::Bytes;
use zk_wire::{GetDataResponseView, SessionId, Stat, UnixMillis, Version, Zxid};

use crate::core::access::shared_acl::SharedAcl;
use crate::core::tree::name_set::NameSet;
use crate::core::tree::weight::Weight;
use crate::core::txn::NodeKind;

/// Node without its path.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) data: Option<Bytes>,
    pub(crate) acl: SharedAcl,
    pub(crate) kind: NodeKind,
    pub(crate) czxid: Zxid,
    pub(crate) mzxid: Zxid,
    pub(crate) pzxid: Zxid,
    pub(crate) ctime: UnixMillis,
    pub(crate) mtime: UnixMillis,
    pub(crate) version: Version,
    pub(crate) aversion: Version,
    /// Number of children ever created, for sequential names. `Stat` shows another number.
    pub(crate) created_children: i32,
    /// Names of children, each a slice of the child's path.
    pub(crate) children: NameSet,
    /// Checksum of path and data, computed when it is first needed.
    pub(crate) content_crc: OnceLock<u32>,
    /// Sum over the nodes below it; not used for the root.
    pub(crate) below: Weight,
}

impl Node {
    /// Creates a node.
    pub(crate) fn new(
        data: Option<Bytes>,
        acl: SharedAcl,
        kind: NodeKind,
        zxid: Zxid,
        time: UnixMillis,
    ) -> Self {
        Self {
            data,
            acl,
            kind,
            czxid: zxid,
            mzxid: zxid,
            pzxid: zxid,
            ctime: time,
            mtime: time,
            version: Version(0),
            aversion: Version(0),
            created_children: 0,
            children: NameSet::default(),
            content_crc: OnceLock::new(),
            below: Weight::default(),
        }
    }

    /// Sets the data, and returns the earlier ones.
    pub(crate) fn set_data(&mut self, data: Option<Bytes>) -> Option<Bytes> {
        self.content_crc = OnceLock::new();
        std::mem::replace(&mut self.data, data)
    }

    /// Returns the bytes of the data; 0 for null.
    pub(crate) fn data_len(&self) -> usize {
        self.data.as_ref().map_or(0, Bytes::len)
    }

    /// Returns the reply to a getData.
    pub(crate) fn data_and_stat(&self) -> GetDataResponseView<'_> {
        GetDataResponseView { data: self.data.as_deref(), stat: self.stat() }
    }

    /// Returns the `Stat` that clients see. `cversion` counts creations and deletions of children, which follows from
    /// the creations and the present number. Only ephemeral nodes have an owner.
    pub(crate) fn stat(&self) -> Stat {
        self.stat_with(saturate(self.children.len()))
    }

    /// Returns the `Stat` of the node with another number of children.
    #[inline]
    pub(crate) fn stat_with(&self, num_children: i32) -> Stat {
        Stat {
            czxid: self.czxid,
            mzxid: self.mzxid,
            ctime: self.ctime,
            mtime: self.mtime,
            version: self.version,
            // Created plus deleted, where deleted is created minus present.
            cversion: Version(self.created_children.wrapping_mul(2).wrapping_sub(num_children)),
            aversion: self.aversion,
            ephemeral_owner: match self.kind {
                NodeKind::Ephemeral(session) => session,
                NodeKind::Persistent | NodeKind::Container | NodeKind::Ttl(_) => SessionId::NONE,
            },
            data_length: saturate(self.data_len()),
            num_children,
            pzxid: self.pzxid,
        }
    }
}

fn saturate(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}
