//! Application of transactions. It cannot fail, and depends only on the state and the transaction.

use bytes::Bytes;
use zk_wire::{ByteString, ErrorCode, Millis, SessionId, Stat, UnixMillis, Zxid};

use crate::core::events::Observers;
use crate::core::session::Sessions;
use crate::core::tree::Tree;
use crate::core::txn::Change;

/// Result of one change, for the reply.
#[derive(Clone, Debug)]
pub(crate) enum Applied {
    Created { path: ByteString, stat: Stat },
    Set(Stat),
    Done,
    Refused(ErrorCode),
}

impl Applied {
    /// Returns the code of a refused change.
    pub(crate) fn refusal(&self) -> Option<ErrorCode> {
        match self {
            Self::Refused(code) => Some(*code),
            Self::Created { .. } | Self::Set(_) | Self::Done => None,
        }
    }
}

/// A transaction without its change, and the time at which it is applied: sessions that it creates expire after that.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stamp {
    pub(crate) zxid: Zxid,
    pub(crate) time: UnixMillis,
    pub(crate) session: SessionId,
    pub(crate) applied: Millis,
}

/// Maximum capacity of an emptied list of changes that is kept.
const KEPT: usize = 1_000;

/// Applies the change of a transaction. Appends a result to `results` for each change of nodes. `emptied` gets the list of a
/// multi without its changes, for the next one to use its memory.
#[inline(always)]
pub(crate) fn apply(
    tree: &mut Tree,
    sessions: &mut Sessions,
    Stamp { zxid, time, session, applied }: Stamp,
    mut change: Change,
    observers: &mut Observers<'_>,
    results: &mut Vec<Applied>,
    emptied: &mut Vec<Change>,
) {
    match &mut change {
        Change::CreateSession { timeout } => sessions.create(session, *timeout, applied),
        Change::CloseSession { ephemerals } => {
            let listed = ephemerals.as_deref().unwrap_or_default();
            listed.iter().for_each(|path| observers.wrote(path, 0));
            // In the listed order: it is the order of the events.
            tree.delete_all(listed, zxid, observers);
            // Deletes ephemeral nodes that the transaction does not list.
            tree.delete_ephemerals(session, zxid, observers);
            sessions.remove(session);
        }
        Change::Multi(changes) => {
            results.reserve(changes.len());
            changes.drain(..).for_each(|change| apply_to_node(tree, zxid, time, change, observers, results));
            if changes.capacity() <= KEPT {
                *emptied = std::mem::take(changes);
            }
        }
        // Not bound to a name: that would move it once more.
        _ => apply_to_node(tree, zxid, time, change, observers, results),
    }
}

fn apply_to_node(
    tree: &mut Tree,
    zxid: Zxid,
    time: UnixMillis,
    change: Change,
    observers: &mut Observers<'_>,
    results: &mut Vec<Applied>,
) {
    match change {
        Change::Create(new) => {
            observers.wrote(&new.path, new.data.as_ref().map_or(0, Bytes::len));
            let (path, stat) = tree.create(new, zxid, time, observers);
            results.push(Applied::Created { path, stat });
        }
        Change::Delete { path } => {
            observers.wrote(&path, 0);
            tree.delete(&path, zxid, observers);
            results.push(Applied::Done);
        }
        Change::SetData { path, data, version } => {
            observers.wrote(&path, data.as_ref().map_or(0, Bytes::len));
            results.push(Applied::Set(tree.set_data(&path, data, version, zxid, time, observers)));
        }
        Change::SetAcl { path, acl, version } => {
            results.push(Applied::Set(tree.set_acl(&path, &acl, version, observers)));
        }
        Change::Error(code) => results.push(Applied::Refused(code)),
        // Sessions and multis do not occur inside a multi.
        Change::Check { .. }
        | Change::CreateSession { .. }
        | Change::CloseSession { .. }
        | Change::Multi(_) => results.push(Applied::Done),
    }
}
