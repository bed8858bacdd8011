//! Explanation of a node: who created, changed and deleted it, and why.

use core::net::SocketAddr;
use std::fmt;

use common::log::Shown;
use zk_wire::{ByteString, SessionId, UnixMillis, Utc, Xid, Zxid};

use crate::core::Core;
use crate::core::history::entry::{Entry, EntryKind};
use crate::core::history::record::What;
use crate::core::history::ring::cut;

/// Explanation of a node: its changes, oldest first, as far as the history reaches. It is printed for people.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Explanation {
    /// Path of the node.
    pub path: ByteString,
    /// `true` if there is such a node now.
    pub exists: bool,
    /// Changes of this node, oldest first. Changes of its children are not among them.
    pub changes: Vec<NodeChange>,
    /// `true` if earlier changes may have been pushed out of the history.
    pub is_cut: bool,
    /// `true` if the server records its history.
    pub is_recorded: bool,
}

/// Change of a node.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct NodeChange {
    /// Transaction that made the change.
    pub zxid: Zxid,
    /// Wall-clock time.
    pub time: UnixMillis,
    /// Kind of change.
    pub what: ChangeKind,
    /// Session that made the request. If the node went with its session, that session.
    pub session: Option<SessionId>,
    /// Address of the client, if it came over a socket.
    pub client: Option<SocketAddr>,
    /// Number that the client gave to the request.
    pub xid: Option<Xid>,
    /// Reason, as a sentence without its subject: `deleted by the end of session 0x1000…: expired, last heard 6.2 s
    /// before, timeout 6 s, client 127.0.0.1:5123`.
    pub because: String,
}

/// Kind of change of a node.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum ChangeKind {
    /// The node was created.
    Created,
    /// Its data or its ACL was set.
    Changed,
    /// The node was deleted.
    Deleted,
}

impl ChangeKind {
    /// Returns the name of the kind: `created`, `changed` or `deleted`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Changed => "changed",
            Self::Deleted => "deleted",
        }
    }
}

impl Explanation {
    /// Returns the last change, if there is one in the history.
    #[must_use]
    pub fn last(&self) -> Option<&NodeChange> {
        self.changes.last()
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = if self.exists { "exists" } else { "does not exist" };
        write!(f, "{} {state}", Shown::text(&self.path))?;
        if !self.is_recorded {
            return f.write_str("; the history is off: start the server with one, see Builder::history");
        }
        if self.is_cut {
            f.write_str("\n  … earlier changes are no longer in the history")?;
        } else if self.changes.is_empty() && self.exists {
            f.write_str("\n  it was there when the history began, and has not changed since")?;
        } else if self.changes.is_empty() {
            f.write_str("\n  nothing in the history has to do with it")?;
        }
        self.changes.iter().try_for_each(|change| write!(f, "\n  {change}"))
    }
}

impl fmt::Display for NodeChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}  {:<6}  {}", Utc(self.time), self.zxid.to_string(), self.because)
    }
}

impl Core {
    /// Explains a node, present or gone.
    #[must_use]
    pub fn explain(&self, path: &str) -> Explanation {
        let kept = cut(path.as_bytes());
        let mut changes = Vec::new();
        let mut begins = false;
        for (record, text) in self.history.others.since(0) {
            // The length is compared first: the texts of most records need not be read.
            if record.what.is_change() && usize::from(record.path) == kept.len() && text.starts_with(&kept) {
                begins |= changes.is_empty() && record.what == What::Created;
                changes.push(self.entry(record, text).into_change());
            }
        }
        Explanation {
            path: path.into(),
            exists: self.tree.get(path).is_some(),
            is_cut: !begins && self.history.is_cut(),
            is_recorded: self.history.is_on(),
            changes,
        }
    }
}

impl Entry {
    fn into_change(self) -> NodeChange {
        debug_assert_eq!(self.kind, EntryKind::Transaction);
        NodeChange {
            zxid: self.zxid,
            time: self.time,
            what: match &*self.what {
                "created" => ChangeKind::Created,
                "deleted" => ChangeKind::Deleted,
                _ => ChangeKind::Changed,
            },
            session: self.session,
            client: self.client,
            xid: self.xid,
            because: self.because.unwrap_or_default(),
        }
    }
}
