//! Ends of calls and streams, and of the session.

use std::mem;
use std::sync::Arc;

use rpc_wire::{CallId, Frame};

use super::streams::Closed;
use super::{Attempt, Ended, Ending, Output, Phase, Session};

impl<C, S: Clone> Session<C, S> {
    pub(super) fn leave(&mut self) {
        if let Phase::Open(silence) = &mut self.phase {
            self.phase = Phase::Leaving(mem::take(silence));
        }
    }

    pub(super) fn complete(&mut self, id: CallId, attempt: Attempt) {
        // A call that was cancelled or answered before has gone.
        if let Some(call) = self.calls.remove(id) {
            self.outputs.push_back(Output::Complete { call, attempt });
        } else {
            self.end_stream(id, attempt);
        }
        self.relieve();
    }

    /// Tells the server that a call has ended here, unless its request can be taken back.
    pub(super) fn cancel(&mut self, id: CallId, has_sent: bool) {
        let waits = id > self.transmitted;
        if waits && !has_sent && self.outbox.take_back(id) {
            return;
        }
        if waits {
            // Never before its own request.
            let _ = self.outbox.append(&Frame::Cancel(id));
        } else {
            self.outbox.urgent(&Frame::Cancel(id));
        }
    }

    /// Ends a stream on this side.
    pub(super) fn close_stream(&mut self, id: CallId, end: Attempt) {
        if let Some(closed) = self.end_stream(id, end) {
            self.cancel(id, closed.has_sent);
        }
    }

    pub(super) fn end_stream(&mut self, id: CallId, end: Attempt) -> Option<Closed> {
        let closed = self.streams.close(id, end)?;
        self.stream_arguments -= closed.argument;
        Some(closed)
    }

    pub(super) fn close(&mut self, ending: Ending) {
        self.phase = Phase::Closed;
        let reason: Arc<str> = ending.to_string().into();
        // Before the completions, so that no retry of these calls comes here again.
        self.outputs.push_back(Output::Closed(ending));
        for (id, call) in self.calls.take_all() {
            let ended = if id > self.transmitted { Ended::NotSent } else { Ended::Lost(Arc::clone(&reason)) };
            self.outputs.push_back(Output::Complete { call, attempt: Err(ended) });
        }
        for id in self.streams.after(CallId(0)) {
            let ended = if id > self.transmitted { Ended::NotSent } else { Ended::Lost(Arc::clone(&reason)) };
            self.end_stream(id, Err(ended));
        }
        self.crowded |= mem::take(&mut self.burdened);
        self.give_room();
    }

    /// Tells callers that wait for the end of another call.
    pub(super) fn relieve(&mut self) {
        if mem::take(&mut self.burdened) {
            self.outputs.push_back(Output::Room);
        }
    }

    pub(super) fn give_room(&mut self) {
        if mem::take(&mut self.crowded) {
            self.outputs.push_back(Output::Room);
        }
    }
}
