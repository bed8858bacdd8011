//! Node of the tree.

use std::sync::OnceLock;

use bytes::Bytes;
use zk_wire::{ByteString, GetDataResponseView, SessionId, Stat, UnixMillis, Version, Zxid};

use crate::core::access::shared_acl::SharedAcl;
use crate::core::tree::name_set::NameSet;
use crate::core::tree::weight::Weight;
use crate::core::txn::NodeKind;

/// Node with its path. Writes share the path: a copy would cost each of them more than the path takes.
pub(crate) type NamedNode = (ByteString, Node);

/// Node without its path. A tree may have millions of them, most without children.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) data: Option<Bytes>,
    pub(crate) acl: SharedAcl,
    /// Number that stands for the kind, as in files.
    owner: i64,
    pub(crate) czxid: Zxid,
    pub(crate) mzxid: Zxid,
    pub(crate) ctime: UnixMillis,
    pub(crate) mtime: UnixMillis,
    pub(crate) version: Version,
    pub(crate) aversion: Version,
    /// Checksum of path and data, computed when it is first needed.
    pub(crate) content_crc: OnceLock<u32>,
    /// `None` for a node that has never had a child.
    family: Option<Box<Family>>,
}

/// Part of a node that is about its children.
#[derive(Debug)]
pub(crate) struct Family {
    /// Names of the children.
    pub(crate) children: NameSet,
    /// Number of children ever created, for sequential names. `Stat` shows another number.
    pub(crate) created_children: i32,
    /// Transaction that last created or deleted a child.
    pub(crate) pzxid: Zxid,
    /// Sum over the nodes below it; not used for the root.
    pub(crate) below: Weight,
    /// Place of its parent, once it is known. The parent stays there as long as this node exists.
    pub(crate) parent: Option<u32>,
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
            owner: kind.owner(),
            czxid: zxid,
            mzxid: zxid,
            ctime: time,
            mtime: time,
            version: Version(0),
            aversion: Version(0),
            content_crc: OnceLock::new(),
            family: None,
        }
    }

    /// Returns the kind of node.
    pub(crate) fn kind(&self) -> NodeKind {
        NodeKind::of_owner(self.owner)
    }

    /// Returns the number that stands for the kind in files.
    pub(crate) fn owner(&self) -> i64 {
        self.owner
    }

    /// Returns the names of the children.
    pub(crate) fn children(&self) -> &NameSet {
        static NONE: NameSet = NameSet::new();
        self.family.as_ref().map_or(&NONE, |family| &family.children)
    }

    /// Returns the number of children ever created.
    pub(crate) fn created_children(&self) -> i32 {
        self.family.as_ref().map_or(0, |family| family.created_children)
    }

    /// Returns the transaction that last created or deleted a child; that of its own creation if there was none.
    pub(crate) fn pzxid(&self) -> Zxid {
        self.family.as_ref().map_or(self.czxid, |family| family.pzxid)
    }

    /// Returns the sum over the nodes below it.
    pub(crate) fn below(&self) -> Weight {
        self.family.as_ref().map_or_else(Weight::default, |family| family.below)
    }

    /// Returns the part about the children, to be changed.
    pub(crate) fn family(&mut self) -> &mut Family {
        let pzxid = self.czxid;
        self.family.get_or_insert_with(|| {
            let (children, created_children, below) = (NameSet::new(), 0, Weight::default());
            Box::new(Family { children, created_children, pzxid, below, parent: None })
        })
    }

    /// Returns the part about the children, to be changed; that of a node which is gone, if there was none.
    pub(crate) fn family_or(&mut self, spare: &mut Option<Box<Family>>) -> &mut Family {
        if self.family.is_none()
            && let Some(mut family) = spare.take()
        {
            (family.created_children, family.pzxid, family.below) = (0, self.czxid, Weight::default());
            family.parent = None;
            self.family = Some(family);
        }
        self.family()
    }

    /// Takes the part about the children of a node that is gone, if it has none, for the next node that needs one.
    pub(crate) fn leave_family(&mut self) -> Option<Box<Family>> {
        self.family.take_if(|family| family.children.is_empty())
    }

    /// Sets the numbers that the children have changed.
    pub(crate) fn set_history_of_children(&mut self, created_children: i32, pzxid: Zxid) {
        if (created_children, pzxid) != (self.created_children(), self.pzxid()) {
            let family = self.family();
            (family.created_children, family.pzxid) = (created_children, pzxid);
        }
    }

    /// Takes the children of the node that it replaces.
    pub(crate) fn adopt(&mut self, replaced: &mut Self) {
        if let Some(theirs) = replaced.family.as_deref_mut() {
            let family = self.family();
            (family.children, family.below) = (std::mem::take(&mut theirs.children), theirs.below);
        }
    }

    /// Sets the sum over the nodes below it to nothing.
    pub(crate) fn forget_weight(&mut self) {
        if let Some(family) = &mut self.family {
            family.below = Weight::default();
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
        self.stat_with(saturate(self.children().len()))
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
            cversion: Version(self.created_children().wrapping_mul(2).wrapping_sub(num_children)),
            aversion: self.aversion,
            ephemeral_owner: match self.kind() {
                NodeKind::Ephemeral(session) => session,
                NodeKind::Persistent | NodeKind::Container | NodeKind::Ttl(_) => SessionId::NONE,
            },
            data_length: saturate(self.data_len()),
            num_children,
            pzxid: self.pzxid(),
        }
    }
}

fn saturate(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use zk_wire::Acl;

    use super::*;

    #[test]
    fn what_a_node_takes_over_from_a_deleted_one_is_as_new() {
        let node = |zxid| {
            let acl = SharedAcl::new(&[Acl::open()].into());
            Node::new(None, acl, NodeKind::Persistent, Zxid(zxid), UnixMillis(0))
        };
        let (mut deleted, mut new, mut spare) = (node(1), node(7), None);
        assert!(deleted.leave_family().is_none());
        deleted.set_history_of_children(3, Zxid(5));
        deleted.family().children.insert("child");
        deleted.family().below = Weight::of_one(10);
        assert!(deleted.leave_family().is_none(), "it has a child");
        deleted.family().children.remove("child");
        spare = deleted.leave_family().or(spare);
        assert!(spare.is_some());
        let before = new.stat();
        new.family_or(&mut spare);
        assert!(spare.is_none());
        assert_eq!((new.stat(), new.below(), new.created_children()), (before, Weight::default(), 0));
    }

    #[test]
    fn a_node_without_children_is_small() {
        assert!(size_of::<NamedNode>() <= 136, "{}", size_of::<NamedNode>());
    }
}
