//! Rules of creates.

use std::borrow::Cow;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use bytes::Bytes;
use foldhash::HashMap;
use zk_wire::{Acl, AclListView, CreateMode, CreateView, ErrorCode, Millis, OpCode, Perms, Version, path};

use super::{NodeRecord, Prepare, Prepared, has_nul, new_path, parent_of};
use crate::core::access::shared_acl::SharedAcl;
use crate::core::tree::parent_name;
use crate::core::tree::quota::is_quota_of_root;
use crate::core::txn::{Change, CreateNode, NodeKind};

/// Lists of a multi as sent, each with its stored form. A list is converted once, however many nodes have it.
pub(crate) type SentLists<'i> = HashMap<&'i [u8], SharedAcl>;

impl Prepare<'_> {
    /// Decides on a create. Clients can observe the order of the checks, so it is ZooKeeper's. `lists` is given for a
    /// multi.
    pub(crate) fn create<'i>(
        &mut self,
        request: &'i CreateView<'i>,
        lists: Option<&mut SentLists<'i>>,
    ) -> Prepared {
        let mode = CreateMode::from_flags(request.flags).ok_or(ErrorCode::BAD_ARGUMENTS)?;
        let kind = self.kind(mode, request)?;
        if let (NodeKind::Ephemeral(_), Some(code)) = (kind, self.no_ephemerals) {
            return Err(code);
        }
        let sent_path = request.path.as_deref().ok_or(ErrorCode::MARSHALLING_ERROR)?;
        let is_valid = path::validate(sent_path).is_ok();
        let parent_path = parent_of(sent_path).filter(|_| is_valid || !has_nul(sent_path));
        let parent_path = parent_path.ok_or(ErrorCode::BAD_ARGUMENTS)?;
        let (acl, shared) = self.list(request.acl.as_ref(), lists)?;
        // The list is checked before the parent: clients can see the order.
        let parent = self.parent(parent_path)?;
        parent.acl.check(&self.requester, Perms::CREATE)?;
        let path = if mode.is_sequential() {
            new_path::numbered(sent_path, parent.created_children)
        } else {
            new_path::owned(sent_path, &[])
        };
        // After the counter is appended: it can make a bad path valid, as "/a/", and no valid one bad.
        if !is_valid && path::validate(&path).is_err() || is_quota_of_root(&path) {
            return Err(ErrorCode::BAD_ARGUMENTS);
        }
        if self.exists(&path) {
            return Err(ErrorCode::NODE_EXISTS);
        }
        if matches!(parent.kind, NodeKind::Ephemeral(_)) {
            return Err(ErrorCode::NO_CHILDREN_FOR_EPHEMERALS);
        }
        self.check_quota(&path, 0, request.data, 1)?;
        // Creations count even if the child is deleted later.
        let parent_cversion = parent.created_children.wrapping_add(1);
        self.note(
            &path,
            |path| path,
            || {
                Some(NodeRecord {
                    acl: Cow::Owned(shared?),
                    kind,
                    version: Version(0),
                    aversion: Version(0),
                    created_children: 0,
                    num_children: 0,
                    data_len: request.data.map_or(0, <[u8]>::len),
                })
            },
        );
        // The latest: the next operation often has the same parent.
        self.note(&path, parent_name, || {
            let num_children = parent.num_children + 1;
            Some(NodeRecord { created_children: parent_cversion, num_children, ..parent })
        });
        // A copy, so that the node does not keep the client's read buffer in memory.
        let data = request.data.map(Bytes::copy_from_slice);
        Ok(Change::Create(CreateNode { path, data, acl, kind, parent_cversion }))
    }

    /// Returns the list of the new node; in a multi also in the form that later operations are checked against.
    fn list<'i>(
        &self,
        sent: Option<&'i AclListView<'i>>,
        lists: Option<&mut SentLists<'i>>,
    ) -> Result<(Arc<[Acl]>, Option<SharedAcl>), ErrorCode> {
        let known = self.tree.acls();
        let (Some(sent), Some(lists)) = (sent, lists) else {
            return Ok((self.requester.normalize_acl(sent, known)?, None));
        };
        // Lists of a multi can be long and many; each is converted once.
        let list = match lists.entry(sent.as_bytes()) {
            Entry::Occupied(list) => list.into_mut(),
            Entry::Vacant(new) => {
                new.insert(SharedAcl::new(&self.requester.normalize_acl(Some(sent), known)?))
            }
        };
        Ok((Arc::clone(list.entries()), Some(list.clone())))
    }

    /// Returns the kind of node. The op code makes a container, not the flags; a node with a time to live needs both.
    /// Combinations that crash ZooKeeper are refused.
    fn kind(&self, mode: CreateMode, request: &CreateView<'_>) -> Result<NodeKind, ErrorCode> {
        if mode.has_ttl() && !self.config.extended_types {
            return Err(ErrorCode::UNIMPLEMENTED);
        }
        let ttl = request.ttl.and_then(|ttl| u64::try_from(ttl).ok()).map(Millis);
        let ttl = ttl.filter(|ttl| (Millis(1)..=NodeKind::MAX_TTL).contains(ttl));
        Ok(match (request.op, ttl) {
            (OpCode::CREATE_TTL, Some(ttl)) if mode.has_ttl() => NodeKind::Ttl(ttl),
            (OpCode::CREATE_TTL, _) => return Err(ErrorCode::BAD_ARGUMENTS),
            _ if mode.has_ttl() => return Err(ErrorCode::BAD_ARGUMENTS),
            (OpCode::CREATE_CONTAINER, _) => NodeKind::Container,
            _ if mode.is_ephemeral() => NodeKind::Ephemeral(self.session),
            _ => NodeKind::Persistent,
        })
    }
}
