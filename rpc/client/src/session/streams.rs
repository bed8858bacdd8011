//! Streams: calls with messages, their windows, and the messages that their readers have not taken.

use std::collections::{BTreeSet, HashMap};
use std::hash::BuildHasherDefault;
use std::mem;

use common::Millis;
use rpc_wire::{Budget, CallId, Credit, ReceiveWindow, SendWindow, Status};

use super::batch::Batch;
use super::calls::IdHasher;
use super::message::{Attempt, Ended, Received, Signal, Violation};

/// The streams of a session, by id. One that has ended stays until its owner releases it.
#[derive(Debug)]
pub(super) struct Streams<S> {
    by_id: HashMap<CallId, Stream<S>, BuildHasherDefault<IdHasher>>,
    /// Number of streams that have not ended.
    open: usize,
    /// Lower bound of the deadlines of open streams.
    earliest: Option<Millis>,
    /// Window of all messages to the server.
    sending: SendWindow,
    /// Streams whose senders wait for something else than credit of their own.
    held_up: BTreeSet<CallId>,
    /// Window of all messages from the server.
    receiving: ReceiveWindow,
    /// Window of one stream to the server.
    server_budget: u32,
    /// Window of one stream from the server.
    budget: u32,
    /// Credit for the server that has not been sent.
    credits: Vec<Credit>,
    /// Owners to wake.
    signals: Vec<Signal<S>>,
}

#[derive(Debug)]
struct Stream<S> {
    owner: S,
    deadline: Option<Millis>,
    /// Length of its argument.
    argument: usize,
    /// Window of its messages to the server; `None` if none may follow.
    sending: Option<SendWindow>,
    /// A message or the end of them was sent.
    has_sent: bool,
    sender_waits: bool,
    /// Window of the server's messages; `None` if the server may send none.
    receiving: Option<ReceiveWindow>,
    reader_waits: bool,
    /// Messages that the reader has not fetched.
    arrived: Batch,
    /// Cost of the messages that the reader has fetched last.
    lent: usize,
    end: Option<Attempt>,
}

/// A stream that begins.
#[derive(Debug)]
pub(super) struct Beginning<S> {
    pub(super) owner: S,
    pub(super) deadline: Option<Millis>,
    pub(super) argument: usize,
    pub(super) sends: bool,
    pub(super) receives: bool,
}

/// A stream that has just ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Closed {
    /// Length of its argument.
    pub(super) argument: usize,
    /// Its request is not the only frame that may wait.
    pub(super) has_sent: bool,
}

impl<S: Clone> Streams<S> {
    pub(super) fn new(budget: Budget) -> Self {
        Self {
            by_id: HashMap::default(),
            open: 0,
            earliest: None,
            sending: SendWindow::new(0),
            held_up: BTreeSet::new(),
            receiving: ReceiveWindow::new(budget.connection),
            server_budget: 0,
            budget: budget.stream,
            credits: Vec::new(),
            signals: Vec::new(),
        }
    }

    /// Takes the budget that the server has announced.
    pub(super) fn greeted(&mut self, server: Budget) {
        self.sending = SendWindow::new(server.connection);
        self.server_budget = server.stream;
    }

    /// Returns the number of streams that have not ended.
    pub(super) fn open(&self) -> usize {
        self.open
    }

    pub(super) fn insert(&mut self, id: CallId, new: Beginning<S>) {
        let Beginning { owner, deadline, argument, sends, receives } = new;
        if let Some(deadline) = deadline {
            self.earliest = Some(self.earliest.map_or(deadline, |earliest| earliest.min(deadline)));
        }
        let stream = Stream {
            owner,
            deadline,
            argument,
            sending: sends.then(|| SendWindow::new(self.server_budget)),
            has_sent: false,
            sender_waits: false,
            receiving: receives.then(|| ReceiveWindow::new(self.budget)),
            reader_waits: false,
            arrived: Batch::default(),
            lent: 0,
            end: None,
        };
        self.by_id.insert(id, stream);
        self.open += 1;
    }

    /// Returns true if a stream may send a message. Otherwise its sender waits; `None` if it can send no more.
    pub(super) fn may_send(&mut self, id: CallId, has_room: bool) -> Option<bool> {
        let stream = self.by_id.get_mut(&id)?;
        let has_credit = stream.sending?.is_open();
        let others_allow = self.sending.is_open() && has_room;
        stream.sender_waits = !(has_credit && others_allow);
        if !others_allow {
            self.held_up.insert(id);
        }
        Some(!stream.sender_waits)
    }

    /// Records a message that is sent.
    pub(super) fn sent(&mut self, id: CallId, len: usize) {
        let cost = SendWindow::cost(len);
        if let Some(stream) = self.by_id.get_mut(&id) {
            stream.has_sent = true;
            if let Some(window) = &mut stream.sending {
                window.spend(cost);
                self.sending.spend(cost);
            }
        }
    }

    /// Records that no more messages follow. Returns false if that was known.
    pub(super) fn finish(&mut self, id: CallId) -> bool {
        let Some(stream) = self.by_id.get_mut(&id) else { return false };
        stream.has_sent = true;
        stream.sending.take().is_some()
    }

    /// Takes credit; `CallId(0)` is the connection. Credit for streams that have ended is ignored.
    pub(super) fn grant(&mut self, credit: Credit) -> Result<(), Violation> {
        let Credit { id, bytes } = credit;
        let is_allowed = if id == CallId(0) {
            let is_allowed = self.sending.grant(bytes);
            self.wake_senders();
            is_allowed
        } else {
            let Some(stream) = self.by_id.get_mut(&id) else { return Ok(()) };
            let is_allowed = stream.sending.as_mut().is_none_or(|window| window.grant(bytes));
            if self.sending.is_open() {
                stream.wake_sender(&mut self.signals);
            } else if stream.sender_waits {
                self.held_up.insert(id);
            }
            is_allowed
        };
        if is_allowed { Ok(()) } else { Err(Violation::CreditOverflow) }
    }

    /// Wakes the senders that wait for something else than credit of their own.
    pub(super) fn wake_senders(&mut self) {
        if !self.sending.is_open() {
            return;
        }
        for id in mem::take(&mut self.held_up) {
            if let Some(stream) = self.by_id.get_mut(&id) {
                // One that lacks credit of its own is woken by that.
                stream.wake_sender(&mut self.signals);
            }
        }
    }

    /// Takes messages from the server. They are dropped if their stream has ended or takes none: they may have been on their way.
    pub(super) fn messages(&mut self, id: CallId, frames: &[u8], last: usize) -> Result<(), Violation> {
        let cost = frames.len();
        let mut has_credit = self.receiving.receive_all(cost, last);
        let stream = self.by_id.get_mut(&id).filter(|stream| stream.end.is_none());
        match stream.and_then(|stream| Some((stream.receiving.as_mut()?.receive_all(cost, last), stream))) {
            Some((has_own_credit, stream)) => {
                has_credit &= has_own_credit;
                if has_credit {
                    stream.arrived.push(frames);
                    stream.wake_reader(&mut self.signals);
                }
            }
            None => self.give_back(cost),
        }
        if has_credit { Ok(()) } else { Err(Violation::NoCredit) }
    }

    /// Exchanges a batch that its reader has taken for the next one.
    pub(super) fn receive(&mut self, id: CallId, batch: &mut Batch) -> Received {
        let Some(stream) = self.by_id.get_mut(&id) else { return Received::Nothing };
        let lent = mem::replace(&mut stream.lent, stream.arrived.cost());
        batch.exchange(&mut stream.arrived);
        let received = match &stream.end {
            _ if stream.lent > 0 => Received::Messages,
            Some(end) => Received::End(end.clone()),
            None => Received::Nothing,
        };
        stream.reader_waits = matches!(received, Received::Nothing);
        if let Some(window) = stream.receiving.as_mut().filter(|_| stream.end.is_none()) {
            self.credits.extend(window.take(lent).map(|bytes| Credit { id, bytes }));
        }
        self.give_back(lent);
        received
    }

    /// Returns how a stream has ended; `None` while it goes on, and after it was released.
    pub(super) fn end(&self, id: CallId) -> Option<Attempt> {
        self.by_id.get(&id)?.end.clone()
    }

    /// Ends a stream. Returns `None` if there is none, or if it has ended.
    pub(super) fn close(&mut self, id: CallId, end: Attempt) -> Option<Closed> {
        let stream = self.by_id.get_mut(&id).filter(|stream| stream.end.is_none())?;
        self.open -= 1;
        stream.end = Some(end);
        stream.sending = None;
        self.held_up.remove(&id);
        stream.wake_reader(&mut self.signals);
        stream.wake_sender_of_ended(&mut self.signals);
        Some(Closed { argument: mem::take(&mut stream.argument), has_sent: stream.has_sent })
    }

    /// Drops the messages that the reader of a stream has not taken.
    pub(super) fn discard(&mut self, id: CallId) {
        if let Some(stream) = self.by_id.get_mut(&id) {
            let cost = mem::take(&mut stream.lent) + stream.arrived.cost();
            stream.arrived.clear();
            self.give_back(cost);
        }
    }

    /// Forgets a stream that has ended. Its messages that nobody will take count as taken.
    pub(super) fn release(&mut self, id: CallId) {
        if let Some(stream) = self.by_id.remove(&id) {
            self.give_back(stream.lent + stream.arrived.cost());
        }
    }

    /// Returns a time before which no deadline comes.
    pub(super) fn earliest(&self) -> Option<Millis> {
        self.earliest
    }

    /// Returns the open streams whose deadline has come.
    pub(super) fn late(&mut self, now: Millis) -> Vec<CallId> {
        if self.earliest.is_none_or(|earliest| now < earliest) {
            return Vec::new();
        }
        let is_late = |stream: &Stream<S>| stream.deadline.is_some_and(|deadline| deadline <= now);
        let late = self.ids(|_, stream| is_late(stream));
        let open = self.by_id.values().filter(|stream| stream.end.is_none() && !is_late(stream));
        self.earliest = open.filter_map(|stream| stream.deadline).min();
        late
    }

    /// Returns the open streams with a higher id, in their order.
    pub(super) fn after(&self, last: CallId) -> Vec<CallId> {
        self.ids(|id, _| id > last)
    }

    /// Returns the next credit to send.
    pub(super) fn next_credit(&mut self) -> Option<Credit> {
        self.credits.pop()
    }

    /// Returns true if there are owners to wake.
    pub(super) fn has_signals(&self) -> bool {
        !self.signals.is_empty()
    }

    /// Takes the owners to wake.
    pub(super) fn signals(&mut self) -> impl Iterator<Item = Signal<S>> {
        self.signals.drain(..)
    }

    /// Returns the streams whose senders wait for something else than credit of their own.
    #[cfg(test)]
    pub(super) fn held_up(&self) -> Vec<CallId> {
        self.held_up.iter().copied().collect()
    }

    fn ids(&self, is_wanted: impl Fn(CallId, &Stream<S>) -> bool) -> Vec<CallId> {
        let open = self.by_id.iter().filter(|(_, stream)| stream.end.is_none());
        let mut ids: Vec<_> =
            open.filter(|(id, stream)| is_wanted(**id, stream)).map(|(id, _)| *id).collect();
        ids.sort_unstable();
        ids
    }

    /// Returns bytes to the window of the connection.
    fn give_back(&mut self, cost: usize) {
        let credit = self.receiving.take(cost);
        self.credits.extend(credit.map(|bytes| Credit { id: CallId(0), bytes }));
    }
}

impl<S: Clone> Stream<S> {
    fn wake_reader(&mut self, signals: &mut Vec<Signal<S>>) {
        if mem::take(&mut self.reader_waits) {
            signals.push(Signal::Readable(self.owner.clone()));
        }
    }

    fn wake_sender(&mut self, signals: &mut Vec<Signal<S>>) {
        if self.sending.is_some_and(SendWindow::is_open) {
            self.wake_sender_of_ended(signals);
        }
    }

    fn wake_sender_of_ended(&mut self, signals: &mut Vec<Signal<S>>) {
        if mem::take(&mut self.sender_waits) {
            signals.push(Signal::Writable(self.owner.clone()));
        }
    }
}

/// Returns the end of a stream that its owner has given up.
pub(super) fn given_up() -> Attempt {
    Err(Ended::Failed(Status::cancelled("the caller has given the stream up")))
}
