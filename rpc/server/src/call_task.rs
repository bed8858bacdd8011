//! Starts of calls: the first poll of the handler, or the task on which a call waits or continues.

use std::sync::{Arc, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use rpc_wire::{CallId, Code, MessageRun};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use crate::active_call::ActiveCall;
use crate::context::{CallState, ConnectionInfo, NewCall};
use crate::handler::{Opening, Running};
use crate::inbox::{Inbox, InboxEnd};
use crate::peers::{InFlight, Seat, Waiting};
use crate::running_call::{CallRunner, cut_messages, drop_quietly, open, poll_handler};
use crate::scope::CallScope;
use crate::session::{CallHead, MethodId, MethodKind, Start};
use crate::shared::Shared;
use crate::shared_reply_queue::SharedReplyQueue;
use crate::stream_task::StreamTask;
use crate::waiting_call::{WaitingCall, patience, refuse};

/// Bound on the time that the session adds to a deadline by rounding.
const ROUNDING: Duration = Duration::from_millis(1);

/// Starter of one connection's calls.
pub(crate) struct CallStarter {
    pub(crate) shared: Arc<Shared>,
    pub(crate) seat: Arc<Seat>,
    pub(crate) reply_queue: Arc<SharedReplyQueue>,
    pub(crate) connection: Arc<ConnectionInfo>,
    /// State of the last call that ended at its first poll, for the next one.
    pub(crate) spare: Option<Arc<CallState>>,
}

/// Result of the first poll.
#[derive(Debug)]
pub(crate) enum Started {
    /// The reply, with this code, is written.
    Ended(Code),
    /// The call goes on.
    Continues(CallTask),
}

/// Handle of a call that continues on a task of its own. Dropping it drops the handler.
#[derive(Debug)]
pub(crate) struct CallTask {
    pub(crate) id: CallId,
    method: MethodId,
    handle: AbortHandle,
    inbox: Option<Arc<Inbox>>,
    /// State of the call, until its task has ended.
    state: Weak<CallState>,
}

impl CallTask {
    /// Returns the method that was called.
    pub(crate) fn method(&self) -> MethodId {
        self.method
    }

    /// Drops the handler of a call that ends with this code.
    pub(crate) fn abort(self, code: Code) {
        if let Some(state) = self.state.upgrade() {
            state.abort(code);
        }
    }

    /// Hands messages of the client to the handler; `None` is the end of the messages.
    pub(crate) fn deliver(&self, messages: Option<MessageRun<'_>>) {
        if let Some(inbox) = &self.inbox {
            match messages {
                Some(run) => inbox.push(run.frames),
                None => inbox.end(InboxEnd::Complete),
            }
        }
    }
}

impl Drop for CallTask {
    fn drop(&mut self) {
        self.handle.abort();
        cut_messages(self.inbox.as_ref());
    }
}

impl CallStarter {
    /// Polls the call's handler once. Most end there and need neither a task nor a reply buffer of their own.
    pub(crate) fn start(&mut self, start: Start<'_>, now: Instant, cx: &mut Context<'_>) -> Started {
        let Start { call, method, metadata, payload, reply } = start;
        let deadline = self.deadline(&call);
        let inbox = self.inbox(&call, method);
        let has_metadata = metadata.is_some();
        let new = NewCall { method, deadline: callers(deadline), metadata };
        let state = match self.spare.take() {
            Some(last) => CallState::renew(last, new),
            None => Arc::new(CallState::new(Arc::clone(&self.connection), new)),
        };
        let context = CallState::context(&state);
        let mut scope = CallScope::new(&context, self.shared.parent_hook.as_ref());
        let opening = Opening {
            method: self.shared.session.methods.name(method),
            payload,
            format: call.format,
            context,
            inbox: inbox.clone(),
        };
        let handler = &self.shared.handlers[method.index()];
        let running = match open(&call, handler, opening, &mut scope, reply) {
            Ok(running) => running,
            Err(code) => {
                CallState::end(&state);
                cut_messages(inbox.as_ref());
                return Started::Ended(code);
            }
        };
        let kind = self.shared.session.methods.kind(method);
        let (handle, state) = match running {
            Running::Reply(mut running) => {
                let polled = poll_handler(&call, &state, &mut running, &mut scope, cx, reply);
                if let Poll::Ready(code) = polled {
                    drop_quietly(running);
                    CallState::end(&state);
                    // An idle connection keeps no metadata, and no value of an extension.
                    self.spare = (!has_metadata && !state.has_extras()).then_some(state);
                    cut_messages(inbox.as_ref());
                    return Started::Ended(code);
                }
                let mut runner = self.runner(call, deadline, kind);
                runner.in_flight.time(deadline);
                let active = ActiveCall::new(&self.shared, state, scope, now);
                let weak = Arc::downgrade(&active.state);
                (tokio::spawn(runner.reply(running, active)), weak)
            }
            Running::Messages(handler) => {
                let active = ActiveCall::new(&self.shared, state, scope, now);
                let weak = Arc::downgrade(&active.state);
                let stream = StreamTask::new(call, handler, active);
                (tokio::spawn(self.runner(call, deadline, kind).messages(stream)), weak)
            }
        };
        Started::Continues(CallTask { id: call.id, method, handle: handle.abort_handle(), inbox, state })
    }

    /// Lets a call wait, on a task of its own, until there is a place for it.
    pub(crate) fn start_later(&self, start: Start<'_>, now: Instant) -> Started {
        let Start { call, method, metadata, payload, reply } = start;
        let (until, kind) = (patience(&self.shared, &call, method), self.shared.session.methods.kind(method));
        let Some((until, waiting)) = until.and_then(|until| Some((until, Waiting::new(&self.seat, kind)?)))
        else {
            return Started::Ended(refuse(&self.shared, &call, Duration::ZERO, reply));
        };
        let (deadline, inbox) = (self.deadline(&call), self.inbox(&call, method));
        let new = NewCall { method, deadline: callers(deadline), metadata };
        let state = Arc::new(CallState::new(Arc::clone(&self.connection), new));
        let scope = CallScope::new(&CallState::context(&state), self.shared.parent_hook.as_ref());
        let weak = Arc::downgrade(&state);
        let later = WaitingCall {
            reply_queue: Arc::clone(&self.reply_queue),
            call,
            deadline,
            active: ActiveCall::new(&self.shared, state, scope, now),
            payload: payload.to_vec(),
            inbox: inbox.clone(),
        };
        let handle = tokio::spawn(later.run(waiting, until)).abort_handle();
        Started::Continues(CallTask { id: call.id, method, handle, inbox, state: weak })
    }

    fn deadline(&self, call: &CallHead) -> Option<Instant> {
        call.deadline.and_then(|at| self.shared.clock.instant(at))
    }

    /// Returns the inbox of a call with messages of the client.
    fn inbox(&self, call: &CallHead, method: MethodId) -> Option<Arc<Inbox>> {
        let takes_messages = self.shared.session.methods.kind(method).client_streams();
        takes_messages.then(|| Arc::new(Inbox::new(call.id, Arc::clone(&self.reply_queue))))
    }

    fn runner(&self, call: CallHead, deadline: Option<Instant>, kind: MethodKind) -> CallRunner {
        CallRunner {
            reply_queue: Arc::clone(&self.reply_queue),
            call,
            deadline,
            in_flight: InFlight::new(&self.seat, kind),
        }
    }
}

/// Returns the deadline for what a handler passes on: the session rounds up, and that is never more than the caller's.
fn callers(deadline: Option<Instant>) -> Option<Instant> {
    deadline.and_then(|at| at.checked_sub(ROUNDING))
}
