//! Replacement of the whole state: the history goes on, and says what has become of the nodes.

use zk_wire::{OpCode, SessionId, Xid};

use crate::core::Core;
use crate::core::history::record::{By, Record, What};
use crate::core::tree::Tree;

/// Number of nodes of a state that are compared with those of another.
const COMPARED: usize = 100_000;

/// Reason why the state of a server is replaced.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Replacement {
    /// The server was restarted, and lost what was not synced.
    Loss,
    /// Everything was deleted.
    Reset,
    /// A snapshot was restored.
    Restored,
    /// The disk was lost, and the server went back to the state on it.
    DiskLost,
}

impl Replacement {
    fn what(self) -> &'static str {
        match self {
            Self::Loss => "restarted, and lost what was not synced",
            Self::Reset => "reset: everything was deleted",
            Self::Restored => "restored from a snapshot",
            Self::DiskLost => "went back to the state on the disk, which is lost for now",
        }
    }

    fn by(self) -> &'static str {
        match self {
            Self::Loss => "by the restart of the server, which lost what was not synced",
            Self::Reset => "by the reset of the server",
            Self::Restored => "by the restore of a snapshot",
            Self::DiskLost => "by the loss of the disk: the server went back to the state on it",
        }
    }
}

impl Core {
    /// Takes over the history of the state that this one replaces.
    pub(crate) fn continue_history_of(&mut self, earlier: &mut Self, why: Replacement) {
        std::mem::swap(&mut self.history, &mut earlier.history);
        self.record_replacement(earlier, why);
    }

    /// Records the differences from the nodes of an earlier state. States before this one can no longer be shown.
    pub(crate) fn record_replacement(&mut self, earlier: &Self, why: Replacement) {
        if !self.history.is_on() {
            return;
        }
        self.history.forget_past(self.last_zxid);
        self.history.server(self.last_zxid, why.what());
        if self.tree.len().max(earlier.tree.len()) <= COMPARED {
            self.record_differences(&earlier.tree, why);
        }
    }

    fn record_differences(&mut self, earlier: &Tree, why: Replacement) {
        let mut record = |(what, code), path: &str, extra| {
            let record = Record {
                zxid: self.last_zxid,
                session: SessionId::NONE,
                xid: Xid(0),
                op: Record::short(OpCode(0)),
                code,
                extra,
                what,
                by: By::Server,
                ..self.history.stamped()
            };
            self.history.others.push(record, path.as_bytes(), why.by().as_bytes());
        };
        let gone = earlier.iter().filter(|(path, _)| self.tree.get(path).is_none());
        gone.for_each(|(path, _)| record((What::Deleted, 0), path, 0));
        for (path, node) in self.tree.iter() {
            let len = u32::try_from(node.data_len()).unwrap_or(u32::MAX);
            match earlier.get(path) {
                None => record((What::Created, Record::kind(node.kind())), path, len),
                Some(before) if before.czxid != node.czxid || before.mzxid != node.mzxid => {
                    record((What::DataSet, 0), path, node.version.0.cast_unsigned());
                }
                Some(_) => {}
            }
        }
    }
}
