//! Doing what was decided. It cannot fail, and depends on nothing but the state and the transaction.

use zk_wire::{ByteString, ErrorCode, Millis, Stat};

use super::events::Audience;
use super::session::Sessions;
use super::tree::Tree;
use super::txn::{Change, Txn};

/// What one change did: what the requester is to hear.
#[derive(Clone, Debug)]
pub(super) enum Applied {
    Created { path: ByteString, stat: Stat },
    Set(Stat),
    Done,
    Refused(ErrorCode),
}

/// Applies a transaction at the time `now`, which only the expiry of a created session depends on. One that changes nodes
/// adds a result for each change to `results`.
pub(super) fn apply(
    tree: &mut Tree,
    sessions: &mut Sessions,
    txn: &Txn,
    now: Millis,
    audience: &mut Audience<'_>,
    results: &mut Vec<Applied>,
) {
    match &txn.change {
        Change::CreateSession { timeout } => sessions.create(txn.session, *timeout, now),
        Change::CloseSession { ephemerals } => {
            for path in ephemerals {
                tree.delete(path, txn.zxid, audience);
            }
            // Releases before 3.6 do not log which nodes those are.
            tree.delete_ephemerals(txn.session, txn.zxid, audience);
            sessions.remove(txn.session);
        }
        Change::Multi(changes) => {
            results.extend(changes.iter().map(|change| apply_to_node(tree, txn, change, audience)));
        }
        change => results.push(apply_to_node(tree, txn, change, audience)),
    }
}

fn apply_to_node(tree: &mut Tree, txn: &Txn, change: &Change, audience: &mut Audience<'_>) -> Applied {
    match change {
        Change::Create(new) => {
            let stat = tree.create(new, txn.zxid, txn.time, audience);
            Applied::Created { path: new.path.clone(), stat }
        }
        Change::Delete { path } => {
            tree.delete(path, txn.zxid, audience);
            Applied::Done
        }
        Change::SetData { path, data, version } => {
            Applied::Set(tree.set_data(path, data.clone(), *version, txn.zxid, txn.time, audience))
        }
        Change::SetAcl { path, acl, version } => Applied::Set(tree.set_acl(path, acl, *version)),
        Change::Error(code) => Applied::Refused(*code),
        // Sessions and multis do not nest.
        Change::Check { .. }
        | Change::CreateSession { .. }
        | Change::CloseSession { .. }
        | Change::Multi(_) => Applied::Done,
    }
}
