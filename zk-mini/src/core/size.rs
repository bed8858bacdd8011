//! The sizes that changes have in a transaction log, and their results in a reply, before either is written.
//!
//! A transaction that no log can take, or that Apache ZooKeeper cannot read back, must be refused before it is applied; so
//! must one whose reply no frame can take.

use zk_wire::{Acl, ByteString, MultiHeader, Stat};

use crate::core::config::Config;
use crate::core::txn::{Change, CreateNode, NodeKind};

/// The header of a transaction, and the digest behind it, whether or not there is one.
const AROUND: usize = 32 + 12;

const LENGTH: usize = 4;
const VERSION: usize = 4;

/// Type and length, which stand before each change of a multi.
const BEFORE_CHANGE: usize = 4 + LENGTH;

/// A reply's header and the end of a multi, with room to spare.
const AROUND_RESULTS: usize = 64;

/// No transaction may be longer, whatever is set: it has a length, and so has all that is told of it.
const LONGEST: usize = i32::MAX as usize - 1024;

/// The size of a multi that is being prepared.
#[derive(Debug)]
pub(crate) struct MultiSize {
    txn: usize,
    reply: usize,
}

impl MultiSize {
    pub(crate) fn new() -> Self {
        Self { txn: AROUND + LENGTH, reply: AROUND_RESULTS }
    }

    /// Adds a change. `false` if the multi is too long with it.
    pub(crate) fn add(&mut self, change: &Change, config: &Config) -> bool {
        self.txn += BEFORE_CHANGE + size(change);
        self.reply += MultiHeader::LEN + result(change);
        self.txn <= longest(config) && self.reply <= config.max_reply
    }
}

/// Tells whether a transaction of one change can be kept, and answered.
pub(crate) fn fits(change: &Change, config: &Config) -> bool {
    AROUND + size(change) <= longest(config) && AROUND_RESULTS + result(change) <= config.max_reply
}

/// The bytes of a transaction of one change in a log, if it is that of a digest, too.
#[cfg(test)]
pub(crate) fn of_txn(change: &Change) -> usize {
    AROUND + size(change)
}

fn longest(config: &Config) -> usize {
    config.max_transaction.min(LONGEST)
}

/// The bytes of a change's record.
fn size(change: &Change) -> usize {
    match change {
        Change::CreateSession { .. } | Change::Error(_) => 4,
        Change::CloseSession { ephemerals } => ephemerals.as_deref().map_or(LENGTH, paths),
        Change::Create(node) => create(node),
        Change::Delete { path } => text(path),
        Change::SetData { path, data, .. } => text(path) + buffer(data.as_deref()) + VERSION,
        Change::SetAcl { path, acl, .. } => text(path) + list(acl) + VERSION,
        Change::Check { path } => text(path) + VERSION,
        Change::Multi(changes) => {
            LENGTH + changes.iter().map(|change| BEFORE_CHANGE + size(change)).sum::<usize>()
        }
    }
}

fn create(node: &CreateNode) -> usize {
    let kind = match node.kind {
        NodeKind::Persistent | NodeKind::Ephemeral(_) => 1,
        NodeKind::Container => 0,
        NodeKind::Ttl(_) => 8,
    };
    text(&node.path) + buffer(node.data.as_deref()) + list(&node.acl) + VERSION + kind
}

fn paths(paths: &[ByteString]) -> usize {
    LENGTH + paths.iter().map(|path| text(path)).sum::<usize>()
}

fn list(acl: &[Acl]) -> usize {
    LENGTH + acl.iter().map(|entry| 4 + text(&entry.scheme) + text(&entry.id)).sum::<usize>()
}

fn text(text: &str) -> usize {
    LENGTH + text.len()
}

fn buffer(data: Option<&[u8]>) -> usize {
    LENGTH + data.map_or(0, <[u8]>::len)
}

/// The bytes of what is answered, or a few more.
fn result(change: &Change) -> usize {
    match change {
        Change::Create(node) => text(&node.path) + Stat::LEN,
        Change::SetData { .. } | Change::SetAcl { .. } => Stat::LEN,
        _ => LENGTH,
    }
}
