//! Audit records of requests.

use zk_wire::{ByteString, CreateMode, CreateView, MultiOpView, Perms, SessionId, UnixMillis};

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

    /// Records a multi: each operation if it is done, otherwise the refusal. Checks change nothing.
    pub(crate) fn audit_multi(&mut self, call: &Call, ops: &[MultiOpView<'_>], results: &[Applied]) {
        if results.iter().any(|result| result.refusal().is_some()) {
            return self.emit_audit(call, AuditOperation::Multi, AuditedWrite::default(), false);
        }
        for (op, result) in ops.iter().zip(results) {
            let (operation, znode_type) = match op {
                MultiOpView::Create(request) => (AuditOperation::Create, znode_type(request)),
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

    /// Records the deletion of the nodes of a session that has ended.
    pub(crate) fn audit_ephemerals(&mut self, time: UnixMillis, session: SessionId, paths: Vec<ByteString>) {
        for path in paths {
            self.outputs.emit(Output::Audit(Box::new(AuditRecord {
                time,
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
        let Some(peer) = self.peers.get(&conn) else { return (None, None) };
        let users: Vec<String> = peer
            .client_info()
            .into_iter()
            .map(|info| info.user.to_string())
            .filter(|user| !user.trim().is_empty())
            .collect();
        (Some(users.join(",")), Some(address::to_java_string(peer.address.ip)))
    }
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
