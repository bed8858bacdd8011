//! Sizes of changes in a transaction log and of their results in a reply, computed before either is written.
//!
//! A transaction is refused before it is applied if no log can hold it, if Apache ZooKeeper could not read it, or if
//! no frame can hold its reply.

use zk_wire::{Acl, ByteString, MultiHeader, Stat};

use crate::core::config::Config;
use crate::core::txn::{Change, CreateNode, NodeKind};

/// Bytes of a transaction's header and of the digest after it, even if there is none.
const AROUND: usize = 32 + 12;

const LENGTH: usize = 4;
const VERSION: usize = 4;

/// Bytes of type and length before each change in a multi.
const BEFORE_CHANGE: usize = 4 + LENGTH;

/// Bytes of a reply's header and of the end of a multi, with a margin.
const AROUND_RESULTS: usize = 64;

/// Maximum length of a transaction for any configuration: its length and those of its replies are 31 bits.
const LONGEST: usize = i32::MAX as usize - 1024;

/// Size of a multi that is being prepared.
#[derive(Debug)]
pub(crate) struct MultiSize {
    txn: usize,
    reply: usize,
}

impl MultiSize {
    pub(crate) fn new() -> Self {
        Self { txn: AROUND + LENGTH, reply: AROUND_RESULTS }
    }

    /// Adds a change. Returns `false` if the multi is too long with it.
    pub(crate) fn add(&mut self, change: &Change, config: &Config) -> bool {
        self.txn += BEFORE_CHANGE + size(change);
        self.reply += MultiHeader::LEN + result(change);
        self.txn <= longest(config) && self.reply <= config.max_reply
    }
}

/// Returns `true` if a transaction of one change can be stored and answered.
pub(crate) fn fits(change: &Change, config: &Config) -> bool {
    AROUND + size(change) <= longest(config) && AROUND_RESULTS + result(change) <= config.max_reply
}

/// Returns the bytes of a transaction of one change in a log, with a digest.
pub(crate) fn of_txn(change: &Change) -> usize {
    AROUND + size(change)
}

fn longest(config: &Config) -> usize {
    config.max_transaction.min(LONGEST)
}

/// Returns the bytes of a change's record.
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

/// Returns the bytes of a change's result, rounded up.
fn result(change: &Change) -> usize {
    match change {
        Change::Create(node) => text(&node.path) + Stat::LEN,
        Change::SetData { .. } | Change::SetAcl { .. } => Stat::LEN,
        _ => LENGTH,
    }
}
