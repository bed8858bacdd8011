//! Rules of writes to existing nodes.

use bytes::Bytes;
use zk_wire::{ErrorCode, Expected, Perms, SetAclView, SetDataView, VersionedPathView, path};

use super::{NodeRecord, Prepare, Prepared, has_nul, next_version, parent_of};
use crate::core::tree::{SYSTEM_NODES, parent_name};
use crate::core::txn::Change;

impl Prepare<'_> {
    /// Decides on a delete. The parent's ACL counts, not that of the node.
    pub(crate) fn delete(&mut self, request: &VersionedPathView<'_>) -> Prepared {
        let path = request.path.as_deref().ok_or(ErrorCode::MARSHALLING_ERROR)?;
        // A path with a NUL names no node, so only a failure needs a look at its bytes.
        self.delete_at(path, request.version)
            .map_err(|code| if has_nul(path) { ErrorCode::BAD_ARGUMENTS } else { code })
    }

    /// Decides on the delete of the node at a path.
    #[inline]
    fn delete_at(&mut self, path: &str, version: Expected) -> Prepared {
        let parent_path = deletable(path)?;
        // The parent's ACL is checked even if the node does not exist.
        let parent = self.parent(parent_path)?;
        parent.acl.check(&self.requester, Perms::DELETE)?;
        let (path, node) = self.look_up(path)?;
        next_version(node.version, version)?;
        if node.num_children > 0 {
            return Err(ErrorCode::NOT_EMPTY);
        }
        self.note(&path, parent_name, || {
            let num_children = parent.num_children.saturating_sub(1);
            Some(NodeRecord { num_children, ..parent })
        });
        self.note(&path, |path| path, || None);
        Ok(Change::Delete { path })
    }

    /// Decides on new data.
    pub(crate) fn set_data(&mut self, request: &SetDataView<'_>) -> Prepared {
        let (path, node) = self.named(request.path.as_deref())?;
        node.acl.check(&self.requester, Perms::WRITE)?;
        self.check_quota(&path, node.data_len, request.data, 0)?;
        let version = next_version(node.version, request.version)?;
        let data_len = request.data.map_or(0, <[u8]>::len);
        self.note(&path, |path| path, || Some(NodeRecord { version, data_len, ..node }));
        // Copied, so that a node does not keep the client's read buffer in memory.
        let data = request.data.map(Bytes::copy_from_slice);
        Ok(Change::SetData { path, data, version })
    }

    /// Decides on a new ACL.
    pub(crate) fn set_acl(&mut self, request: &SetAclView<'_>) -> Prepared {
        let path = valid(request.path.as_deref())?;
        let acl = self.requester.normalize_acl(request.acl.as_ref(), self.tree.acls())?;
        let (path, node) = self.look_up(path)?;
        node.acl.check(&self.requester, Perms::ADMIN)?;
        let version = next_version(node.aversion, request.version)?;
        Ok(Change::SetAcl { path, acl, version })
    }

    /// Decides on a check of a node's version.
    pub(crate) fn check(&self, request: &VersionedPathView<'_>) -> Prepared {
        let (path, node) = self.named(request.path.as_deref())?;
        node.acl.check(&self.requester, Perms::READ)?;
        next_version(node.version, request.version)?;
        Ok(Change::Check { path })
    }
}

/// Returns the parent of a node. The system's nodes are refused.
fn deletable(path: &str) -> Result<&str, ErrorCode> {
    parent_of(path).filter(|_| !SYSTEM_NODES.contains(&path)).ok_or(ErrorCode::BAD_ARGUMENTS)
}

/// Returns the path if it can name a node. Null is refused with the same code as an invalid path.
fn valid(path: Option<&str>) -> Result<&str, ErrorCode> {
    path.filter(|path| path::validate(path).is_ok()).ok_or(ErrorCode::BAD_ARGUMENTS)
}
