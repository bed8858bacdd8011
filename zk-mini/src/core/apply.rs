//! Doing what was decided. It cannot fail, and depends on nothing but the state and the transaction.

use zk_wire::{ByteString, ErrorCode, Millis, Stat};

use super::session::Sessions;
use super::tree::{Event, Tree};
use super::txn::{Change, Txn};

/// What a transaction did, in order.
#[derive(Debug, Default)]
pub(super) struct Effects {
    /// What watchers are to hear.
    pub(super) events: Vec<Event>,
    /// What the requester is to hear: one a change.
    pub(super) results: Vec<Applied>,
}

impl Effects {
    pub(super) fn clear(&mut self) {
        self.events.clear();
        self.results.clear();
    }
}

/// What one change did.
#[derive(Clone, Debug)]
pub(super) enum Applied {
    Created { path: ByteString, stat: Stat },
    Set(Stat),
    Done,
    Refused(ErrorCode),
}

/// Applies a transaction at the time `now`, which only the expiry of a created session depends on.
pub(super) fn apply(tree: &mut Tree, sessions: &mut Sessions, txn: &Txn, now: Millis, effects: &mut Effects) {
    match &txn.change {
        Change::CreateSession { timeout } => sessions.create(txn.session, *timeout, now),
        Change::CloseSession { ephemerals } => {
            for path in ephemerals {
                tree.delete(path, txn.zxid, &mut effects.events);
            }
            // Releases before 3.6 do not log which nodes those are.
            tree.delete_ephemerals(txn.session, txn.zxid, &mut effects.events);
            sessions.remove(txn.session);
        }
        Change::Multi(changes) => {
            for change in changes {
                apply_to_node(tree, txn, change, effects);
            }
        }
        change => apply_to_node(tree, txn, change, effects),
    }
}

fn apply_to_node(tree: &mut Tree, txn: &Txn, change: &Change, effects: &mut Effects) {
    let events = &mut effects.events;
    effects.results.push(match change {
        Change::Create(new) => {
            let stat = tree.create(new, txn.zxid, txn.time, events);
            Applied::Created { path: new.path.clone(), stat }
        }
        Change::Delete { path } => {
            tree.delete(path, txn.zxid, events);
            Applied::Done
        }
        Change::SetData { path, data, version } => {
            Applied::Set(tree.set_data(path, data.clone(), *version, txn.zxid, txn.time, events))
        }
        Change::SetAcl { path, acl, version } => Applied::Set(tree.set_acl(path, acl, *version)),
        Change::Error(code) => Applied::Refused(*code),
        // Sessions and multis do not nest.
        Change::Check { .. }
        | Change::CreateSession { .. }
        | Change::CloseSession { .. }
        | Change::Multi(_) => Applied::Done,
    });
}
