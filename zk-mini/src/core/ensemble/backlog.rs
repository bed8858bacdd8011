//! Transactions and answers that a server has not caught up with yet.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use zk_wire::Millis;

use crate::core::message::Output;
use crate::core::txn::Txn;

/// Number of transactions that a server is behind at most, whatever its lag.
const MOST: u64 = 10_000;

/// Lag of a server behind the leader, of at most 10,000 transactions.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Lag {
    /// It applies every transaction at once.
    #[default]
    None,
    /// It does not apply the last transactions, this many, before one of its clients needs them: by a write, a `sync`, or a
    /// new session, to which it catches up at once.
    Transactions(u64),
    /// It applies every transaction this long after the leader: writes, `sync` and new sessions of its clients take as long.
    Time(Millis),
}

impl Lag {
    /// Returns the lag of this time.
    #[must_use]
    pub fn time(by: Duration) -> Self {
        Self::Time(by.into())
    }
}

/// Transactions that a server has not applied, and answers of the leader to its clients between them, in order.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    entries: VecDeque<Entry>,
    transactions: u64,
    /// Number of answers.
    answers: usize,
}

#[derive(Debug)]
pub(super) enum Entry {
    /// Transaction, and the time at which the leader made it.
    Txn(Arc<Txn>, Millis),
    /// Frame or close for a connection.
    Answer(Output),
}

impl Backlog {
    pub(super) fn push(&mut self, entry: Entry) {
        match entry {
            Entry::Txn(..) => self.transactions += 1,
            Entry::Answer(_) => self.answers += 1,
        }
        self.entries.push_back(entry);
    }

    /// Takes the first entry, if the lag lets it pass by now.
    pub(super) fn pop(&mut self, lag: Lag, now: Millis) -> Option<Entry> {
        if self.due(lag)? > now {
            return None;
        }
        let entry = self.entries.pop_front()?;
        match entry {
            Entry::Txn(..) => self.transactions -= 1,
            Entry::Answer(_) => self.answers -= 1,
        }
        Some(entry)
    }

    /// Returns the time at which the first entry may pass; `None` if time alone does not let it.
    pub(super) fn due(&self, lag: Lag) -> Option<Millis> {
        match (self.entries.front()?, lag) {
            (Entry::Answer(_), _) | (_, Lag::None) => Some(Millis(0)),
            _ if self.transactions > MOST => Some(Millis(0)),
            (_, Lag::Transactions(lag)) => (self.transactions > lag || self.answers > 0).then_some(Millis(0)),
            (Entry::Txn(_, made), Lag::Time(lag)) => Some(*made + lag),
        }
    }

    /// Returns the number of transactions that are not applied.
    pub(super) fn transactions(&self) -> u64 {
        self.transactions
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}
