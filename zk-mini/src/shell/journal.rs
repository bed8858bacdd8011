//! The queue of outputs that wait for the disk: no peer is told of a change before the change is durable.
//!
//! While one batch is being written, the next one gathers, so that one sync serves every output that waits for it.

use std::collections::VecDeque;

use crate::core::{ConnId, Image, Output, Txn};
use crate::shell::limits::Limits;

/// Outputs that wait for the disk.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    /// Batches before `held`: each ends where the state was exchanged.
    ready: VecDeque<Batch>,
    held: Batch,
    /// True while a batch is being written.
    writing: bool,
    /// Number of batches taken so far.
    taken: u64,
    /// Number of times that outputs were given up.
    losses: u64,
    /// The present state is going to be lost: nobody may hear of it.
    doomed: bool,
    /// Nothing is written to the disk any more.
    ended: bool,
}

/// Point in the sequence of outputs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mark {
    losses: u64,
    /// Batch of the last output before the mark.
    batch: u64,
}

/// Outputs that wait for the same sync.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    /// New state of the server, in place of everything before.
    pub(crate) exchanged: Option<Box<Image>>,
    pub(crate) outputs: Vec<Output>,
    /// Bytes of the requests in it, for each connection that they came from.
    pub(crate) charges: Vec<(ConnId, usize)>,
    /// Bytes of its requests and frames, also for connections that have ended.
    bytes: usize,
}

impl Journal {
    /// Holds an output back if it is a transaction, or follows one that is not durable yet; otherwise returns it.
    pub(crate) fn hold(&mut self, output: Output) -> Option<Output> {
        if self.doomed || self.ended {
            return None;
        }
        if self.is_idle() && !matches!(output, Output::Persist(_)) {
            return Some(output);
        }
        if let Output::Send { frame, .. } = &output {
            self.held.bytes += frame.len();
        }
        self.held.outputs.push(output);
        None
    }

    /// Returns true if it holds no frame back.
    pub(crate) fn lets_pass(&self) -> bool {
        self.is_idle() && !self.ended
    }

    /// Charges the bytes of a request, whose outputs are held, to its connection. Returns their number.
    ///
    /// While very much waits, a request counts for as much as lets its connection wait: clients that come, write and go
    /// while the disk hangs leave behind a bounded number of bytes.
    pub(crate) fn charge(&mut self, conn: ConnId, bytes: usize, limits: &Limits) -> usize {
        let is_full = self.held.bytes >= limits.max_backlog;
        let charged = if is_full { bytes.max(limits.pause_reading()) } else { bytes };
        self.held.charges.push((conn, charged));
        self.held.bytes += bytes;
        charged
    }

    /// Returns the bytes of the requests and frames of the next batch.
    #[cfg(test)]
    pub(crate) fn held_bytes(&self) -> usize {
        self.held.bytes
    }

    /// Takes the batch to write now, if there is one; call [`written`](Self::written) when its outputs have been performed.
    pub(crate) fn take(&mut self) -> Option<Batch> {
        if !self.has_work() {
            return None;
        }
        self.writing = true;
        self.taken += 1;
        Some(self.ready.pop_front().unwrap_or_else(|| std::mem::take(&mut self.held)))
    }

    /// Notes that the state has been exchanged for an image, which must be durable before any later output is performed.
    pub(crate) fn exchange(&mut self, image: Image) {
        if !self.held.is_empty() {
            self.ready.push_back(std::mem::take(&mut self.held));
        }
        self.held.exchanged = Some(Box::new(image));
    }

    /// Notes that the batch has been written and its outputs performed.
    pub(crate) fn written(&mut self) {
        self.writing = false;
    }

    /// Gives up all outputs that wait, and all to come until [`lose`](Self::lose).
    pub(crate) fn doom(&mut self) {
        self.lose();
        self.doomed = true;
    }

    /// Gives up all outputs that wait.
    pub(crate) fn lose(&mut self) {
        *self = Self { losses: self.losses + 1, taken: self.taken, ended: self.ended, ..Self::default() };
    }

    /// Gives up all outputs that wait, and all to come: nobody waits for the disk any more.
    pub(crate) fn end(&mut self) {
        self.lose();
        self.ended = true;
    }

    /// Returns a mark behind all outputs so far.
    pub(crate) fn mark(&self) -> Mark {
        let waiting = self.ready.len() + usize::from(self.doomed || !self.held.is_empty());
        let batch = if self.is_idle() { 0 } else { self.taken + waiting as u64 };
        Mark { losses: self.losses, batch }
    }

    /// Returns true if no output before a mark waits any more.
    pub(crate) fn has_passed(&self, mark: Mark) -> bool {
        self.losses != mark.losses || self.taken - u64::from(self.writing) >= mark.batch
    }

    /// Returns true if outputs before a mark were given up.
    pub(crate) fn has_lost(&self, mark: Mark) -> bool {
        self.losses != mark.losses && mark.batch > 0
    }

    /// Returns true if there is a batch to take.
    pub(crate) fn has_work(&self) -> bool {
        !(self.writing || self.ready.is_empty() && self.held.is_empty())
    }

    /// Returns true if no output waits.
    pub(crate) fn is_idle(&self) -> bool {
        !self.writing && !self.doomed && self.ready.is_empty() && self.held.is_empty()
    }

    /// Returns a journal that is busy for ever.
    #[cfg(test)]
    pub(crate) fn stuck() -> Self {
        Self { writing: true, taken: 1, ..Self::default() }
    }
}

impl Batch {
    fn is_empty(&self) -> bool {
        self.outputs.is_empty() && self.exchanged.is_none()
    }

    /// Returns the transactions, in order.
    pub(crate) fn transactions(&self) -> impl Iterator<Item = &Txn> {
        self.outputs.iter().filter_map(|output| match output {
            Output::Persist(txn) => Some(txn),
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use zk_wire::{Millis, SessionId, UnixMillis, Xid, Zxid};

    use super::*;
    use crate::core::Change;

    fn persist() -> Output {
        let change = Change::CreateSession { timeout: Millis(4_000) };
        let (zxid, time, session, xid) = (Zxid(1), UnixMillis(1), SessionId(1), Xid(0));
        Output::Persist(Txn { zxid, time, session, xid, change, digest: None })
    }

    fn send() -> Output {
        Output::Send { conn: ConnId(1), frame: Bytes::new() }
    }

    #[test]
    fn outputs_wait_for_the_transactions_before_them_and_for_no_others() {
        let mut journal = Journal::default();
        assert!(journal.hold(send()).is_some(), "no transaction is before it");
        assert!(journal.hold(persist()).is_none());
        assert!(journal.hold(send()).is_none());
        assert_eq!(journal.charge(ConnId(1), 9, &Limits::default()), 9);
        let batch = journal.take().unwrap();
        assert_eq!(
            (batch.outputs.len(), batch.transactions().count(), &batch.charges[..]),
            (2, 1, &[(ConnId(1), 9)][..])
        );
        assert!(journal.hold(send()).is_none(), "the batch is being written");
        assert!(journal.take().is_none(), "one batch at a time");
        journal.written();
        assert_eq!(journal.take().unwrap().outputs.len(), 1);
        journal.written();
        assert!(journal.is_idle() && journal.hold(send()).is_some());
    }

    #[test]
    fn a_mark_is_passed_when_the_outputs_before_it_are_performed_or_given_up() {
        let mut journal = Journal::default();
        assert!(journal.has_passed(journal.mark()), "nothing waits");
        journal.hold(persist());
        let first = journal.mark();
        assert!(journal.take().is_some());
        let same = journal.mark();
        journal.hold(persist());
        let second = journal.mark();
        assert!(![first, same, second].iter().any(|mark| journal.has_passed(*mark)));
        journal.written();
        assert!(journal.has_passed(first) && journal.has_passed(same) && !journal.has_passed(second));
        assert!(!journal.has_lost(first));
        journal.lose();
        assert!(journal.has_passed(second) && journal.has_lost(second));
        journal.hold(persist());
        assert!(!journal.has_passed(journal.mark()), "the count goes on");
    }

    #[test]
    fn an_exchange_of_the_state_stands_between_two_batches() {
        let mut journal = Journal::default();
        journal.exchange(Image::default());
        assert!(journal.hold(send()).is_none(), "the new state is not durable yet");
        journal.exchange(Image::default());
        journal.hold(persist());
        let mark = journal.mark();
        let first = journal.take().unwrap();
        assert!(first.exchanged.is_some() && first.transactions().count() == 0);
        journal.written();
        let second = journal.take().unwrap();
        assert!(second.exchanged.is_some() && second.transactions().count() == 1);
        assert!(!journal.has_passed(mark));
        journal.written();
        assert!(journal.has_passed(mark) && journal.is_idle());
    }

    #[test]
    fn nobody_hears_of_a_state_that_is_going_to_be_lost() {
        let mut journal = Journal::default();
        journal.hold(persist());
        journal.doom();
        assert!(journal.hold(send()).is_none() && journal.hold(persist()).is_none());
        assert!(journal.take().is_none() && !journal.is_idle());
        let mark = journal.mark();
        assert!(!journal.has_passed(mark));
        journal.lose();
        assert!(journal.has_lost(mark) && journal.hold(send()).is_some());
    }
}
