//! The public face of direct writes, which records them for the audit.

use zk_wire::{Acl, ByteString, Expected, SessionId};

use super::{NewNode, WriteError, Written};
use crate::core::Core;
use crate::core::access::address;
use crate::core::audit::{AuditOperation, AuditRecord, AuditedWrite};
use crate::core::message::{Now, Output, Peer};
use crate::core::requests::audited::acl_text;
use crate::core::txn::NodeKind;

/// Users who stand for those who write without a session.
const PROGRAM: &str = "handle";
const CLIENT_OF_HTTP: &str = "http";

impl Core {
    /// Creates a node. Missing parents, if wanted, are made in the same transaction.
    ///
    /// # Errors
    /// [`WriteError`]; nothing has changed then.
    pub fn create_directly(&mut self, now: Now, new: &NewNode<'_>) -> Result<Written, WriteError> {
        if !self.config.audit {
            return self.make_node(now, new);
        }
        let parents: Vec<ByteString> = match new.parents {
            true => self.missing_parents(new.path).into_iter().map(ByteString::from).collect(),
            false => Vec::new(),
        };
        let written = self.make_node(now, new);
        let node =
            |znode, znode_type| AuditedWrite { znode: Some(znode), znode_type: Some(znode_type), acl: None };
        match &written {
            Ok(Written { path, .. }) => {
                for parent in parents {
                    let parent = node(parent, kind(NodeKind::Persistent, false));
                    self.audit_directly(now, AuditOperation::Create, parent, Ok(()));
                }
                let made = node(path.clone(), kind(new.kind, new.sequential));
                self.audit_directly(now, AuditOperation::Create, made, Ok(()));
            }
            Err(error) => {
                let refused = node(new.path.into(), kind(new.kind, new.sequential));
                self.audit_directly(now, AuditOperation::Create, refused, Err(error));
            }
        }
        written
    }

    /// Sets a node's data.
    ///
    /// # Errors
    /// [`WriteError`]; nothing has changed then.
    pub fn set_directly(
        &mut self,
        now: Now,
        path: &str,
        data: Option<&[u8]>,
        version: Expected,
    ) -> Result<Written, WriteError> {
        let written = self.set_node(now, path, data, version);
        if self.config.audit {
            let write = AuditedWrite::to(Some(path));
            self.audit_directly(now, AuditOperation::SetData, write, written.as_ref().map(drop));
        }
        written
    }

    /// Sets a node's ACL.
    ///
    /// # Errors
    /// [`WriteError`]; nothing has changed then.
    pub fn set_acl_directly(&mut self, now: Now, path: &str, acl: &[Acl]) -> Result<Written, WriteError> {
        let written = self.set_node_acl(now, path, acl);
        if self.config.audit {
            let entries = acl.iter().map(|entry| (entry.perms, &*entry.scheme, &*entry.id));
            let write = AuditedWrite { acl: Some(acl_text(entries)), ..AuditedWrite::to(Some(path)) };
            self.audit_directly(now, AuditOperation::SetAcl, write, written.as_ref().map(drop));
        }
        written
    }

    /// Deletes a node without children.
    ///
    /// # Errors
    /// [`WriteError`]; nothing has changed then.
    pub fn delete_directly(&mut self, now: Now, path: &str, version: Expected) -> Result<(), WriteError> {
        let deleted = self.delete_node(now, path, version);
        if self.config.audit {
            let write = AuditedWrite::to(Some(path));
            self.audit_directly(now, AuditOperation::Delete, write, deleted.as_ref().map(drop));
        }
        deleted
    }

    /// Deletes a node and all nodes below it, children before their parents, in one transaction, or in several if one
    /// would be too long. No other change comes between them. The system's nodes stay, also if they are named: the root
    /// stands for everything else. Returns the number of deleted nodes.
    ///
    /// # Errors
    /// [`WriteError`]; nothing has changed then.
    pub fn delete_all_directly(&mut self, now: Now, path: &str) -> Result<usize, WriteError> {
        let deleted = self.delete_nodes(now, path);
        match &deleted {
            Ok(paths) if self.config.audit => {
                for path in paths {
                    let write = AuditedWrite::to(Some(path));
                    self.audit_directly(now, AuditOperation::Delete, write, Ok(()));
                }
            }
            Ok(_) => {}
            Err(error) => {
                let write = AuditedWrite::to(Some(path));
                self.audit_directly(now, AuditOperation::Delete, write, Err(error));
            }
        }
        deleted.map(|paths| paths.len())
    }

    /// Sets the client of HTTP for whom the next direct writes are done; `None` is this program.
    pub(crate) fn write_for(&mut self, client: Option<Peer>) {
        self.writer = client;
        self.history.write_for(client);
    }

    /// Records a direct write. One that was not tried, because the disk is lost, is none.
    fn audit_directly(
        &mut self,
        now: Now,
        operation: AuditOperation,
        write: AuditedWrite,
        result: Result<(), &WriteError>,
    ) {
        if !self.config.audit || matches!(result, Err(WriteError::ReadOnly { .. })) {
            return;
        }
        let user = if self.writer.is_some() { CLIENT_OF_HTTP } else { PROGRAM };
        let AuditedWrite { znode, znode_type, acl } = write;
        self.outputs.emit(Output::Audit(Box::new(AuditRecord {
            time: now.wall,
            server: None,
            session: SessionId::NONE,
            user: Some(user.into()),
            ip: self.writer.map(|client| address::to_java_string(client.ip)),
            operation,
            znode,
            znode_type,
            acl,
            success: result.is_ok(),
        })));
    }
}

/// Returns the name of a kind of node.
fn kind(kind: NodeKind, sequential: bool) -> &'static str {
    match (kind, sequential) {
        (NodeKind::Persistent, false) => "persistent",
        (NodeKind::Persistent, true) => "persistent_sequential",
        (NodeKind::Ephemeral(_), false) => "ephemeral",
        (NodeKind::Ephemeral(_), true) => "ephemeral_sequential",
        (NodeKind::Container, _) => "container",
        (NodeKind::Ttl(_), false) => "persistent_with_ttl",
        (NodeKind::Ttl(_), true) => "persistent_sequential_with_ttl",
    }
}
