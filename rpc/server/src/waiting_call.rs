//! Calls that wait, before they start, until one of those in flight has ended.

use std::sync::Arc;
use std::time::Duration;

use rpc_metrics::Refusal;
use rpc_wire::{Code, Status};
use tokio::time::{Instant, timeout_at};

use crate::active_call::ActiveCall;
use crate::clock;
use crate::context::CallState;
use crate::handler::{Opening, Running};
use crate::inbox::Inbox;
use crate::load::wait_until;
use crate::peers::Waiting;
use crate::running_call::{self, CallRunner};
use crate::session::{CallHead, MethodId};
use crate::shared::Shared;
use crate::shared_reply_queue::SharedReplyQueue;
use crate::stream_task::StreamTask;

/// Call that owns its argument, because it starts later.
pub(crate) struct WaitingCall {
    pub(crate) reply_queue: Arc<SharedReplyQueue>,
    pub(crate) call: CallHead,
    pub(crate) deadline: Option<Instant>,
    pub(crate) active: ActiveCall,
    pub(crate) payload: Vec<u8>,
    pub(crate) inbox: Option<Arc<Inbox>>,
}

/// Returns the time until which a call may wait.
pub(crate) fn patience(shared: &Shared, call: &CallHead, method: MethodId) -> Option<Instant> {
    let (limits, usual) = (&shared.session.limits, shared.session.methods.usual(method));
    let until = wait_until(shared.clock.now(), limits.queue_timeout, call.deadline, usual)?;
    shared.clock.instant(until)
}

/// Appends the reply of a call that may not wait, or not any longer.
pub(crate) fn refuse(shared: &Shared, call: &CallHead, waited: Duration, out: &mut Vec<u8>) -> Code {
    let waited = waited.as_millis();
    let why = format!("too many calls in flight; this one has waited for {waited} ms");
    let status = Status::resource_exhausted(why);
    call.refuse(&status, out);
    shared.session.metrics.refuse(Refusal::Overload);
    status.code
}

impl WaitingCall {
    /// Waits for a place, for a bounded time, and runs the call to its end.
    pub(crate) async fn run(mut self, mut waiting: Waiting, until: Instant) {
        let begun = clock::now();
        let place = timeout_at(until, waiting.place()).await;
        // Its owner has left the queue before the client may try again.
        drop(waiting);
        let mut out = Vec::new();
        let shared = Arc::clone(&self.active.shared);
        let now = clock::now();
        // A runtime that was held up finds the place and the end of the call's time at once.
        let place = place.ok().flatten().filter(|_| self.deadline.is_none_or(|deadline| now < deadline));
        let Some(mut in_flight) = place else {
            let waited = now.duration_since(begun);
            self.active.scope.end(refuse(&shared, &self.call, waited, &mut out));
            return self.fail(out);
        };
        let method = self.active.state.method();
        let opening = Opening {
            method: shared.session.methods.name(method),
            payload: &self.payload,
            format: self.call.format,
            context: CallState::context(&self.active.state),
            inbox: self.inbox.clone(),
        };
        let (handler, scope) = (&shared.handlers[method.index()], &mut self.active.scope);
        let Ok(running) = running_call::open(&self.call, handler, opening, scope, &mut out) else {
            return self.fail(out);
        };
        let Self { reply_queue, call, deadline, active, payload, inbox } = self;
        drop((shared, payload, inbox, out));
        match running {
            Running::Reply(running) => {
                in_flight.time(deadline);
                CallRunner { reply_queue, call, deadline, in_flight }.reply(running, active).await;
            }
            Running::Messages(handler) => {
                let runner = CallRunner { reply_queue, call, deadline, in_flight };
                runner.messages(StreamTask::new(call, handler, active)).await;
            }
        }
    }

    /// Ends a call, of which nothing has run, with the encoded reply.
    fn fail(self, mut frame: Vec<u8>) {
        let Self { reply_queue, call, active, inbox, .. } = self;
        running_call::cut_messages(inbox.as_ref());
        let kind = active.shared.session.methods.kind(active.state.method());
        drop(active);
        if kind.server_streams() {
            reply_queue.push_messages(call.id, &mut frame, true);
        } else {
            reply_queue.push(&call, &frame);
        }
    }
}
