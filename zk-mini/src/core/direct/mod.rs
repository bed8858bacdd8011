//! Direct writes: changes of nodes by the owner of the core, without a session or a connection.
//!
//! They pass the rules and the application of a client's writes, so watchers, quotas, limits and the log see no
//! difference. Two things are not a client's: ACLs are not checked, and a refused write takes no zxid.

mod audited;
mod error;

use std::borrow::Cow;

use zk_wire::{
    Acl, AclListView, ByteString, CreateView, ErrorCode, Expected, MultiOpView, OpCode, SessionId,
    SetAclView, SetDataView, Stat, VersionedPathView, Xid, path,
};

pub use error::WriteError;

use crate::core::Core;
use crate::core::access::requester::Requester;
use crate::core::apply::Applied;
use crate::core::history::Cause;
use crate::core::message::{Now, Peer};
use crate::core::prepare::{Prepare, Prepared};
use crate::core::size::{self, MultiSize};
use crate::core::tree::SYSTEM_NODES;
use crate::core::txn::{Change, NodeKind};

/// Node that a direct write creates.
#[derive(Clone, Copy, Debug)]
pub struct NewNode<'a> {
    /// Path, without the counter of a sequential node.
    pub path: &'a str,
    /// Data of the node.
    pub data: Option<&'a [u8]>,
    /// Access control list, also of the parents that are made.
    pub acl: &'a [Acl],
    /// Kind of node. The owner of an ephemeral node must be alive.
    pub kind: NodeKind,
    /// Appends the parent's counter to the name. Not for containers, as in ZooKeeper.
    pub sequential: bool,
    /// Makes missing parents.
    pub parents: bool,
}

/// Node after a direct write.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Written {
    /// Path of the node, with the counter of a sequential one.
    pub path: ByteString,
    /// `Stat` of the node after the write.
    pub stat: Stat,
    /// `true` if the write has created the node.
    pub created: bool,
}

impl Core {
    /// Creates a node. Missing parents, if wanted, are made in the same transaction.
    fn make_node(&mut self, now: Now, new: &NewNode<'_>) -> Result<Written, WriteError> {
        self.check_writable(new.path)?;
        // The counter can make a bad path valid.
        if let (false, Err(source)) = (new.sequential, path::validate(new.path)) {
            return Err(WriteError::BadPath { path: new.path.into(), source });
        }
        let owner = match new.kind {
            NodeKind::Ephemeral(owner) if self.sessions.get(owner).is_none() => {
                return Err(WriteError::NoSession { path: new.path.into(), session: owner });
            }
            NodeKind::Ephemeral(owner) => owner,
            NodeKind::Persistent | NodeKind::Container | NodeKind::Ttl(_) => SessionId::NONE,
        };
        let request = self.view_of(new)?;
        let parents: Vec<_> = if new.parents { self.missing_parents(new.path) } else { Vec::new() };
        let change = if parents.is_empty() {
            let prepared = self.prepare_directly(owner).create(&request, None);
            self.checked(prepared).map_err(|code| self.explain_create(new, code))?
        } else {
            let plain = |path| CreateView {
                op: OpCode::CREATE2,
                path: Some(Cow::Borrowed(path)),
                data: Some(&[][..]),
                flags: 0,
                ttl: None,
                ..request.clone()
            };
            let items: Vec<_> = parents
                .iter()
                .map(|path| plain(*path))
                .chain([request.clone()])
                .map(MultiOpView::Create)
                .collect();
            let prepared = self.prepare_directly(owner).multi(&items, Vec::new());
            let too_long =
                |_| WriteError::TooLong { path: new.path.into(), max: self.config.max_transaction };
            let changes = prepared.map_err(too_long)?;
            let refused = changes.iter().zip(&items).find_map(|(change, item)| match change {
                Change::Error(code) if *code != ErrorCode::OK => Some((*code, item.path())),
                _ => None,
            });
            if let Some((code, path)) = refused {
                let path = path.unwrap_or(new.path);
                return Err(self.explain_create(&NewNode { path, ..*new }, code));
            }
            Change::Multi(changes)
        };
        self.commit(now, owner, Xid(0), Cause::Direct, change);
        match self.results.pop() {
            Some(Applied::Created { path, stat }) => Ok(Written { path, stat, created: true }),
            _ => Err(WriteError::Refused { path: new.path.into(), code: ErrorCode::RUNTIME_INCONSISTENCY }),
        }
    }

    /// Sets a node's data.
    fn set_node(
        &mut self,
        now: Now,
        path: &str,
        data: Option<&[u8]>,
        version: Expected,
    ) -> Result<Written, WriteError> {
        self.check_writable(path)?;
        let request = SetDataView { path: Some(Cow::Borrowed(path)), data, version };
        let prepared = self.prepare_directly(SessionId::NONE).set_data(&request);
        let change = self.checked(prepared).map_err(|code| self.refusal(path, version, code))?;
        self.commit_stat(now, path, change)
    }

    /// Sets a node's ACL.
    fn set_node_acl(&mut self, now: Now, path: &str, acl: &[Acl]) -> Result<Written, WriteError> {
        self.check_writable(path)?;
        let (acl, version) = (Some(AclListView::of(acl)), Expected::Any);
        let request = SetAclView { path: Some(Cow::Borrowed(path)), acl, version };
        let prepared = self.prepare_directly(SessionId::NONE).set_acl(&request);
        let change = self.checked(prepared).map_err(|code| self.refusal(path, version, code))?;
        self.commit_stat(now, path, change)
    }

    /// Deletes a node without children.
    fn delete_node(&mut self, now: Now, path: &str, version: Expected) -> Result<(), WriteError> {
        self.check_writable(path)?;
        let request = VersionedPathView { path: Some(Cow::Borrowed(path)), version };
        let change = self
            .prepare_directly(SessionId::NONE)
            .delete(&request)
            .map_err(|code| self.refusal(path, version, code))?;
        self.commit(now, SessionId::NONE, Xid(0), Cause::Direct, change);
        Ok(())
    }

    /// Deletes a node and all nodes below it. Returns their paths, in the order in which they go.
    fn delete_nodes(&mut self, now: Now, path: &str) -> Result<Vec<ByteString>, WriteError> {
        self.check_writable(path)?;
        if path::validate(path).is_err() || self.tree.get(path).is_none() {
            return Err(self.refusal(path, Expected::Any, ErrorCode::NO_NODE));
        }
        let mut paths = self.with_descendants(path);
        // From the end: children before their parents.
        paths.reverse();
        let (mut changes, mut size) = (Vec::new(), MultiSize::new());
        for path in &paths {
            let change = Change::Delete { path: path.clone() };
            if !size.add(&change, &self.config) {
                self.commit_all(now, std::mem::take(&mut changes));
                size = MultiSize::new();
                size.add(&change, &self.config);
            }
            changes.push(change);
        }
        self.commit_all(now, changes);
        Ok(paths)
    }

    fn check_writable(&self, path: &str) -> Result<(), WriteError> {
        if self.disk_lost { Err(WriteError::ReadOnly { path: path.into() }) } else { Ok(()) }
    }

    /// Returns the rules for a write that every ACL allows.
    fn prepare_directly(&self, owner: SessionId) -> Prepare<'_> {
        let requester = Requester {
            peer: &Peer::LOCAL,
            identities: &[],
            unchecked: true,
            ip_v6: self.rules.ip_acl_takes_v6,
            config: &self.config,
        };
        Prepare::new(&self.tree, owner, requester, &self.config)
    }

    /// Refuses a change that no log can hold.
    fn checked(&self, prepared: Prepared) -> Prepared {
        prepared.and_then(|change| {
            if size::fits(&change, &self.config) { Ok(change) } else { Err(ErrorCode::MARSHALLING_ERROR) }
        })
    }

    fn commit_stat(&mut self, now: Now, path: &str, change: Change) -> Result<Written, WriteError> {
        self.commit(now, SessionId::NONE, Xid(0), Cause::Direct, change);
        match self.results.pop() {
            Some(Applied::Set(stat)) => Ok(Written { path: path.into(), stat, created: false }),
            _ => Err(WriteError::Refused { path: path.into(), code: ErrorCode::RUNTIME_INCONSISTENCY }),
        }
    }

    fn commit_all(&mut self, now: Now, mut changes: Vec<Change>) {
        let change = match changes.len() {
            0 => return,
            1 => changes.swap_remove(0),
            _ => Change::Multi(changes),
        };
        self.commit(now, SessionId::NONE, Xid(0), Cause::Direct, change);
    }

    /// Returns a node and the nodes below it, parents before their children, without the system's nodes.
    fn with_descendants(&self, path: &str) -> Vec<ByteString> {
        let (mut found, mut open) = (Vec::new(), vec![path.to_owned()]);
        while let Some(path) = open.pop() {
            let Some(node) = self.tree.node(&path) else { continue };
            open.extend(node.children().iter().map(|name| path::join(&path, name)));
            if !SYSTEM_NODES.contains(&&*path) {
                found.push(path.into());
            }
        }
        found
    }

    /// Returns the ancestors of a path that do not exist, from the top.
    fn missing_parents<'p>(&self, path: &'p str) -> Vec<&'p str> {
        let above = |path: &&'p str| path::split(path).map(|(parent, _)| parent);
        let mut missing: Vec<_> = std::iter::successors(above(&path), above)
            .take_while(|parent| *parent != "/" && self.tree.get(parent).is_none())
            .collect();
        missing.reverse();
        missing
    }

    /// Returns a create as a client would send it.
    fn view_of<'n>(&self, new: &NewNode<'n>) -> Result<CreateView<'n>, WriteError> {
        let (op, flags, ttl) = match (new.kind, new.sequential) {
            (NodeKind::Persistent, false) => (OpCode::CREATE2, 0, None),
            (NodeKind::Ephemeral(_), false) => (OpCode::CREATE2, 1, None),
            (NodeKind::Persistent, true) => (OpCode::CREATE2, 2, None),
            (NodeKind::Ephemeral(_), true) => (OpCode::CREATE2, 3, None),
            (NodeKind::Container, false) => (OpCode::CREATE_CONTAINER, 4, None),
            (NodeKind::Container, true) => {
                return Err(WriteError::SequentialContainer { path: new.path.into() });
            }
            (NodeKind::Ttl(_), _) if !self.config.extended_types => {
                return Err(WriteError::NoTtl { path: new.path.into() });
            }
            (NodeKind::Ttl(ttl), sequential) => {
                let valid = i64::try_from(ttl.0).ok().filter(|_| ttl <= NodeKind::MAX_TTL && ttl.0 > 0);
                let ttl = valid.ok_or(WriteError::BadTtl { path: new.path.into(), ttl })?;
                (OpCode::CREATE_TTL, if sequential { 6 } else { 5 }, Some(ttl))
            }
        };
        Ok(CreateView {
            op,
            path: Some(Cow::Borrowed(new.path)),
            data: new.data,
            acl: Some(AclListView::of(new.acl)),
            flags,
            ttl,
        })
    }
}
