//! The rules of the writes to nodes that exist.

use std::borrow::Cow;

use bytes::Bytes;
use zk_wire::{DecodeError, ErrorCode, Expected, Fields, Perms, Version, path};

use super::{Prepare, Prepared, Record, next_version, parent_of};
use crate::core::access::acl::SentAcl;
use crate::core::tree::{SYSTEM_NODES, parent_name};
use crate::core::txn::Change;

/// A delete or a check as sent, which are one record: a null is refused only where it is looked at.
#[derive(Debug)]
pub(crate) struct VersionedRequest<'a> {
    pub(crate) path: Option<Cow<'a, str>>,
    version: Expected,
}

impl<'a> VersionedRequest<'a> {
    pub(crate) fn read(body: &mut Fields<'a>) -> Result<Self, DecodeError> {
        Ok(Self { path: body.text("path")?, version: read_version(body)? })
    }
}

/// New data as sent.
#[derive(Debug)]
pub(crate) struct SetDataRequest<'a> {
    pub(crate) path: Option<Cow<'a, str>>,
    data: Option<&'a [u8]>,
    version: Expected,
}

impl<'a> SetDataRequest<'a> {
    pub(crate) fn read(body: &mut Fields<'a>) -> Result<Self, DecodeError> {
        let (path, data) = (body.text("SetData.path")?, body.buffer("SetData.data")?);
        Ok(Self { path, data, version: read_version(body)? })
    }
}

/// A new ACL as sent.
#[derive(Debug)]
pub(crate) struct SetAclRequest<'a> {
    path: Option<Cow<'a, str>>,
    acl: Option<Vec<SentAcl<'a>>>,
    version: Expected,
}

impl<'a> SetAclRequest<'a> {
    pub(crate) fn read(body: &mut Fields<'a>) -> Result<Self, DecodeError> {
        let (path, acl) = (body.text("SetAcl.path")?, body.vector("SetAcl.acl", SentAcl::read)?);
        Ok(Self { path, acl, version: read_version(body)? })
    }
}

fn read_version(body: &mut Fields<'_>) -> Result<Expected, DecodeError> {
    body.int("version").map(|version| Version(version).into())
}

impl Prepare<'_> {
    /// Decides on a delete: the parent's ACL counts, and the node's own is not asked.
    pub(crate) fn delete(&mut self, request: &VersionedRequest<'_>) -> Prepared {
        let path = request.path.as_deref().ok_or(ErrorCode::MARSHALLING_ERROR)?;
        let parent_path = deletable(path)?;
        let parent = self.record(parent_path)?;
        self.requester.check(&parent.acl, Perms::DELETE)?;
        let (path, node) = self.look_up(path)?;
        next_version(node.version, request.version)?;
        if node.num_children > 0 {
            return Err(ErrorCode::NOT_EMPTY);
        }
        self.note(&path, parent_name(&path), || {
            let num_children = parent.num_children.saturating_sub(1);
            Some(Record { num_children, ..parent })
        });
        self.note(&path, &path, || None);
        Ok(Change::Delete { path })
    }

    /// Decides on new data.
    pub(crate) fn set_data(&mut self, request: &SetDataRequest<'_>) -> Prepared {
        let (path, node) = self.named(request.path.as_deref())?;
        self.requester.check(&node.acl, Perms::WRITE)?;
        self.check_quota(&path, node.data_len, request.data, 0)?;
        let version = next_version(node.version, request.version)?;
        let data_len = request.data.map_or(0, <[u8]>::len);
        self.note(&path, &path, || Some(Record { version, data_len, ..node }));
        // Copied, so that a node does not hold on to all that was read from its writer at once.
        let data = request.data.map(Bytes::copy_from_slice);
        Ok(Change::SetData { path, data, version })
    }

    /// Decides on a new ACL.
    pub(crate) fn set_acl(&mut self, request: &SetAclRequest<'_>) -> Prepared {
        let path = valid(request.path.as_deref())?;
        let acl = self.requester.fix(request.acl.as_deref(), self.tree.acls())?;
        let (path, node) = self.look_up(path)?;
        self.requester.check(&node.acl, Perms::ADMIN)?;
        let version = next_version(node.aversion, request.version)?;
        Ok(Change::SetAcl { path, acl, version })
    }

    /// Decides whether a node is as expected.
    pub(crate) fn check(&self, request: &VersionedRequest<'_>) -> Prepared {
        let (path, node) = self.named(request.path.as_deref())?;
        self.requester.check(&node.acl, Perms::READ)?;
        next_version(node.version, request.version)?;
        Ok(Change::Check { path })
    }
}

/// The parent of a node that is not the system's own.
fn deletable(path: &str) -> Result<&str, ErrorCode> {
    let parent = parent_of(path)?;
    if SYSTEM_NODES.contains(&path) { Err(ErrorCode::BAD_ARGUMENTS) } else { Ok(parent) }
}

/// A path that can name a node; null is as bad as any other that cannot.
fn valid(path: Option<&str>) -> Result<&str, ErrorCode> {
    path.filter(|path| path::validate(path).is_ok()).ok_or(ErrorCode::BAD_ARGUMENTS)
}
