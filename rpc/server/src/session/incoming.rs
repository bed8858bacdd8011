//! Messages of the client: what it may send, and the credit that it gets back.

use std::collections::BTreeMap;

use rpc_wire::{Budget, CallId, Credit, ReceiveWindow, Status};

use super::queue::Queue;

/// Streams of messages from the client, and their windows.
#[derive(Debug)]
pub(super) struct Incoming {
    budget: Budget,
    /// Window of the connection.
    window: ReceiveWindow,
    streams: BTreeMap<CallId, IncomingStream>,
    /// Sum of the costs of all messages that handlers have not taken.
    untaken: usize,
    /// Credit for the client that has not been sent.
    credits: Queue<Credit>,
}

#[derive(Debug)]
struct IncomingStream {
    window: ReceiveWindow,
    untaken: usize,
    /// The client has sent its last message.
    is_ended: bool,
}

impl Incoming {
    pub(super) fn new(budget: Budget) -> Self {
        Self {
            budget,
            window: ReceiveWindow::new(budget.connection),
            streams: BTreeMap::new(),
            untaken: 0,
            credits: Queue::new(),
        }
    }

    pub(super) fn open(&mut self, id: CallId) {
        let window = ReceiveWindow::new(self.budget.stream);
        self.streams.insert(id, IncomingStream { window, untaken: 0, is_ended: false });
    }

    /// Records messages that have arrived together, the last of which costs `last`. Returns false if no handler waits for them:
    /// the call has ended, or takes no messages.
    ///
    /// # Errors
    /// The client had no credit.
    pub(super) fn receive(&mut self, id: CallId, cost: usize, last: usize) -> Result<bool, Status> {
        let mut has_credit = self.window.receive_all(cost, last);
        let stream = self.streams.get_mut(&id).filter(|stream| !stream.is_ended);
        let is_awaited = stream.is_some();
        match stream {
            Some(stream) => {
                has_credit &= stream.window.receive_all(cost, last);
                stream.untaken += cost;
                self.untaken += cost;
            }
            None => self.give_back(cost),
        }
        if !has_credit {
            return Err(Status::resource_exhausted(format!("a message of call {} without credit", id.0)));
        }
        Ok(is_awaited)
    }

    /// Records the end of the client's messages. Returns false if no handler waits for it.
    pub(super) fn end(&mut self, id: CallId) -> bool {
        let stream = self.streams.get_mut(&id).filter(|stream| !stream.is_ended);
        stream.map(|stream| stream.is_ended = true).is_some()
    }

    /// Records that a handler has taken messages of this cost. The end of a stream has already counted for all of its
    /// messages.
    pub(super) fn take(&mut self, id: CallId, cost: usize) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        let cost = cost.min(stream.untaken);
        stream.untaken -= cost;
        self.untaken -= cost;
        if let Some(bytes) = stream.window.take(cost).filter(|_| !stream.is_ended) {
            self.credits.push(Credit { id, bytes });
        }
        self.give_back(cost);
    }

    /// Forgets a stream. Its messages that nobody will take count as taken.
    pub(super) fn close(&mut self, id: CallId) {
        if let Some(stream) = self.streams.remove(&id) {
            self.untaken -= stream.untaken;
            self.give_back(stream.untaken);
        }
    }

    /// Returns the next credit for the client.
    pub(super) fn next_credit(&mut self) -> Option<Credit> {
        self.credits.pop()
    }

    /// Returns the memory of the queue of credit, in bytes.
    pub(super) fn held(&self) -> usize {
        self.credits.held()
    }

    /// Returns the sum of the costs of all messages that handlers have not taken.
    pub(super) fn untaken(&self) -> usize {
        self.untaken
    }

    /// Returns bytes to the window of the connection.
    fn give_back(&mut self, cost: usize) {
        if let Some(bytes) = self.window.take(cost) {
            self.credits.push(Credit { id: CallId(0), bytes });
        }
    }
}
