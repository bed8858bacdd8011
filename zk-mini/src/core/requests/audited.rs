//! Audit records of requests.

use zk_wire::{
    AclListView, ByteString, CreateMode, CreateView, Fields, MultiOpView, OpCode, Perms, SessionId,
    SetAclView, SetDataView, UnixMillis, VersionedPathView,
};

use crate::core::Core;
use crate::core::access::address;
use crate::core::apply::Applied;
use crate::core::audit::{AuditOperation, AuditRecord, AuditedWrite};
use crate::core::message::{ConnId, Output};
use crate::core::requests::call::{Answer, Call, Failure, Reply};

impl Core {
    /// Records a write by its answer. One that was not understood, or not tried because the disk is lost, is none.
    pub(crate) fn audit(
        &mut self,
        call: &Call,
        operation: AuditOperation,
        write: AuditedWrite,
        answer: &Answer,
    ) {
        let success = match answer {
            Ok(Reply::Header | Reply::Body(_)) => true,
            Err(Failure::Code(_)) => false,
            _ => return,
        };
        let znode = self.created.take().filter(|_| success).or(write.znode);
        self.emit_audit(call, operation, AuditedWrite { znode, ..write }, success);
    }

    /// Records a multi: each operation if it is done, otherwise the refusal. Checks change nothing. As in ZooKeeper, which looks
    /// the kind of a node up by its path, a sequential node has none, nor has one with a time to live.
    pub(crate) fn audit_multi(&mut self, call: &Call, ops: &[MultiOpView<'_>], results: &[Applied]) {
        if results.iter().any(|result| result.refusal().is_some()) {
            return self.emit_audit(call, AuditOperation::Multi, AuditedWrite::default(), false);
        }
        for (op, result) in ops.iter().zip(results) {
            let (operation, znode_type) = match op {
                MultiOpView::Create(request) => {
                    let is_found = |made: &ByteString| request.path.as_deref() == Some(&**made);
                    let found = matches!(result, Applied::Created { path, .. } if is_found(path));
                    let kind = znode_type(request).filter(|_| found && request.op != OpCode::CREATE_TTL);
                    (AuditOperation::Create, kind)
                }
                MultiOpView::Delete(_) => (AuditOperation::Delete, None),
                MultiOpView::SetData(_) => (AuditOperation::SetData, None),
                MultiOpView::Check(_) | MultiOpView::Read { .. } => continue,
            };
            let znode = match result {
                Applied::Created { path, .. } => Some(path.clone()),
                _ => op.path().map(ByteString::from),
            };
            self.emit_audit(call, operation, AuditedWrite { znode, znode_type, acl: None }, true);
        }
    }

    /// Records a write that is refused for another reason than its own, such as a session that has moved. One that cannot be read
    /// is none; of a multi nothing has to be read.
    pub(crate) fn audit_refusal(&mut self, call: &Call, body: Fields<'_>) {
        if !self.config.audit {
            return;
        }
        let (operation, write) = match call.op {
            OpCode::CREATE | OpCode::CREATE2 | OpCode::CREATE_CONTAINER | OpCode::CREATE_TTL => {
                let Ok(request) = call.read::<CreateView<'_>>(body) else { return };
                let Some(kind) = znode_type(&request) else { return };
                let write = AuditedWrite::to(request.path.as_deref());
                (AuditOperation::Create, AuditedWrite { znode_type: Some(kind), ..write })
            }
            OpCode::DELETE => {
                let Ok(request) = call.read::<VersionedPathView<'_>>(body) else { return };
                (AuditOperation::Delete, AuditedWrite::to(request.path.as_deref()))
            }
            OpCode::SET_DATA => {
                let Ok(request) = call.read::<SetDataView<'_>>(body) else { return };
                (AuditOperation::SetData, AuditedWrite::to(request.path.as_deref()))
            }
            OpCode::SET_ACL => {
                let Ok(request) = call.read::<SetAclView<'_>>(body) else { return };
                (AuditOperation::SetAcl, of_set_acl(&request))
            }
            OpCode::MULTI => (AuditOperation::Multi, AuditedWrite::default()),
            OpCode::RECONFIG => (AuditOperation::Reconfig, AuditedWrite::default()),
            _ => return,
        };
        self.emit_audit(call, operation, write, false);
    }

    /// Records the deletion of the nodes of a session that has ended.
    pub(crate) fn audit_ephemerals(&mut self, time: UnixMillis, session: SessionId, paths: Vec<ByteString>) {
        for path in paths {
            self.outputs.emit(Output::Audit(Box::new(AuditRecord {
                time,
                server: None,
                session,
                user: None,
                ip: None,
                operation: AuditOperation::EphemeralDeletion,
                znode: Some(path),
                znode_type: None,
                acl: None,
                success: true,
            })));
        }
    }

    fn emit_audit(&mut self, call: &Call, operation: AuditOperation, write: AuditedWrite, success: bool) {
        let (user, ip) = self.who(call.conn);
        let AuditedWrite { znode, znode_type, acl } = write;
        self.outputs.emit(Output::Audit(Box::new(AuditRecord {
            time: call.now.wall,
            server: self.number_at(call.conn),
            session: call.session,
            user,
            ip,
            operation,
            znode,
            znode_type,
            acl,
            success,
        })));
    }

    /// Returns the identities of a peer, with commas, and its address.
    fn who(&self, conn: ConnId) -> (Option<String>, Option<String>) {
        let Some(peer) = self.peers.get(conn) else { return (None, None) };
        let users: Vec<String> = peer
            .client_info()
            .into_iter()
            .map(|info| info.user.to_string())
            .filter(|user| !user.trim().is_empty())
            .collect();
        (Some(users.join(",")), Some(address::to_java_string(peer.address.ip)))
    }
}

/// Returns the record of a setACL.
pub(crate) fn of_set_acl(request: &SetAclView<'_>) -> AuditedWrite {
    let sent: Vec<_> = request.acl.iter().flat_map(AclListView::iter).collect();
    let acl = acl_text(sent.iter().map(|entry| {
        (entry.perms, entry.scheme.as_deref().unwrap_or_default(), entry.id.as_deref().unwrap_or_default())
    }));
    AuditedWrite { acl: Some(acl), ..AuditedWrite::to(request.path.as_deref()) }
}

/// Returns the name of the kind of node that a create asks for.
pub(crate) fn znode_type(request: &CreateView<'_>) -> Option<&'static str> {
    Some(match CreateMode::from_flags(request.flags)? {
        CreateMode::Persistent => "persistent",
        CreateMode::Ephemeral => "ephemeral",
        CreateMode::PersistentSequential => "persistent_sequential",
        CreateMode::EphemeralSequential => "ephemeral_sequential",
        CreateMode::Container => "container",
        CreateMode::PersistentWithTtl => "persistent_with_ttl",
        CreateMode::PersistentSequentialWithTtl => "persistent_sequential_with_ttl",
    })
}

/// Returns a list in the form of the audit log.
pub(crate) fn acl_text<'a>(entries: impl IntoIterator<Item = (Perms, &'a str, &'a str)>) -> String {
    let letters = [
        (Perms::CREATE, 'c'),
        (Perms::DELETE, 'd'),
        (Perms::READ, 'r'),
        (Perms::WRITE, 'w'),
        (Perms::ADMIN, 'a'),
    ];
    let mut text = String::new();
    for (perms, scheme, id) in entries {
        text += &format!("{scheme}:{id}:");
        text.extend(letters.iter().filter(|(perm, _)| perms.intersects(*perm)).map(|(_, letter)| letter));
    }
    text
}

#[cfg(test)]
mod tests {
    use zk_wire::Acl;

    use super::*;

    #[test]
    fn a_list_is_written_one_entry_after_the_other() {
        let entry = |perms, scheme: &str, id: &str| Acl { perms, scheme: scheme.into(), id: id.into() };
        let list = [entry(Perms::ALL, "world", "anyone"), entry(Perms::READ, "sasl", "bob")];
        let entries = list.iter().map(|entry| (entry.perms, &*entry.scheme, &*entry.id));
        assert_eq!(acl_text(entries), "world:anyone:cdrwasasl:bob:r");
    }
}
