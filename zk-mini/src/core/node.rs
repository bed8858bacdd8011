//! One node of the tree.

use std::sync::OnceLock;

use bytes::Bytes;
use zk_wire::{SessionId, Stat, UnixMillis, Version, Zxid};

use super::name_set::NameSet;
use super::shared_acl::SharedAcl;
use super::txn::NodeKind;
use super::weight::Weight;

/// A node, all but its path.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) data: Option<Bytes>,
    pub(super) acl: SharedAcl,
    pub(super) kind: NodeKind,
    pub(super) czxid: Zxid,
    pub(super) mzxid: Zxid,
    pub(super) pzxid: Zxid,
    pub(super) ctime: UnixMillis,
    pub(super) mtime: UnixMillis,
    pub(super) version: Version,
    pub(super) aversion: Version,
    /// Children ever created: what sequential names are made from. `Stat` shows another number.
    pub(super) created_children: i32,
    /// Names, each a slice of the child's path.
    pub(super) children: NameSet,
    /// The checksum of path and data, once it has been asked for: it takes a while if they are long.
    pub(super) content_crc: OnceLock<u32>,
    /// All that is below it; not kept for the root.
    pub(super) below: Weight,
}

impl Node {
    /// A node at its creation.
    pub(super) fn new(
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

    pub(super) fn set_data(&mut self, data: Option<Bytes>) {
        self.data = data;
        self.content_crc = OnceLock::new();
    }

    /// The bytes of its data; 0 for null.
    pub(super) fn data_len(&self) -> usize {
        self.data.as_ref().map_or(0, Bytes::len)
    }

    /// What clients see of it. `cversion` counts creates and deletes of children, which follows from the
    /// creates and what is there; only ephemeral nodes have an owner.
    pub(super) fn stat(&self) -> Stat {
        let num_children = saturate(self.children.len());
        Stat {
            czxid: self.czxid,
            mzxid: self.mzxid,
            ctime: self.ctime,
            mtime: self.mtime,
            version: self.version,
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
