//! Handlers of calls: the first poll, and the task that continues.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use common::log::survive;
use rpc_wire::{CallId, Code, ReplyWriter};
use tokio::task::AbortHandle;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::clock;
use crate::context::{ActiveCall, CallState, ConnectionInfo, NewCall};
use crate::handler::{Opening, PollReply, Running};
use crate::inbox::{Inbox, InboxEnd};
use crate::measured::MeasuredCall;
use crate::peers::{InFlight, Seat};
use crate::scope::CallScope;
use crate::session::{self, CallHead, MethodId, Pause, Start};
use crate::shared::Shared;
use crate::shared_reply_queue::SharedReplyQueue;
use crate::stream_task::StreamTask;

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
}

/// Handler of a unary call, or of one that takes messages and gives a result.
type Replying = Pin<Box<dyn PollReply + Send>>;

impl CallTask {
    /// Returns the method that was called.
    pub(crate) fn method(&self) -> MethodId {
        self.method
    }

    /// Hands a message of the client to the handler; `None` is the end of the messages.
    pub(crate) fn deliver(&self, payload: Option<&[u8]>) {
        if let Some(inbox) = &self.inbox {
            match payload {
                Some(message) => inbox.push(message),
                None => inbox.end(InboxEnd::Complete),
            }
        }
    }
}

impl Drop for CallTask {
    fn drop(&mut self) {
        self.handle.abort();
        cut(self.inbox.as_ref());
    }
}

impl CallStarter {
    /// Polls the call's handler once. Most end there and need neither a task nor a reply buffer of their own.
    pub(crate) fn start(&mut self, start: Start<'_>, now: Instant, cx: &mut Context<'_>) -> Started {
        let Start { call, method, metadata, payload, reply } = start;
        let deadline = call.deadline.and_then(|at| self.shared.clock.instant(at));
        // The session rounds up. A handler passes its time on, and that is never more than the caller's.
        let callers = deadline.and_then(|at| at.checked_sub(ROUNDING));
        let methods = &self.shared.session.methods;
        let takes_messages = methods.kind(method).client_streams();
        let inbox = takes_messages.then(|| Arc::new(Inbox::new(call.id, Arc::clone(&self.reply_queue))));
        let has_metadata = metadata.is_some();
        let new = NewCall { method, deadline: callers, metadata };
        let state = match self.spare.take() {
            Some(last) => CallState::renew(last, new),
            None => Arc::new(CallState::new(Arc::clone(&self.connection), new)),
        };
        let context = CallState::context(&state);
        let mut scope = CallScope::new(&context, self.shared.parent_hook.as_ref());
        let opening = Opening {
            method: methods.name(method),
            payload,
            format: call.format,
            context,
            inbox: inbox.clone(),
        };
        let handler = &self.shared.handlers[method.index()];
        let started = catch_unwind(AssertUnwindSafe(|| scope.enter(|| handler(opening))));
        let running = match started {
            Ok(Ok(running)) => running,
            Ok(Err(status)) => {
                call.refuse(&status, reply);
                scope.end(status.code);
                return Started::Ended(status.code);
            }
            Err(_) => {
                let status = session::panicked();
                call.fail(&status, reply);
                scope.end(status.code);
                cut(inbox.as_ref());
                return Started::Ended(status.code);
            }
        };
        let handle = match running {
            Running::Reply(mut running) => {
                let polled = poll_handler(&call, &state, &mut running, &mut scope, cx, reply);
                if let Poll::Ready(code) = polled {
                    drop_quietly(running);
                    CallState::end(&state);
                    // An idle connection keeps no metadata.
                    self.spare = (!has_metadata).then_some(state);
                    cut(inbox.as_ref());
                    return Started::Ended(code);
                }
                let measured = MeasuredCall::new(&self.shared, method, now, deadline, scope);
                self.spawn(call, deadline, ActiveCall(state), running, measured)
            }
            Running::Messages(handler) => {
                let measured = MeasuredCall::new(&self.shared, method, now, deadline, scope);
                self.spawn_stream(deadline, StreamTask::new(call, ActiveCall(state), handler, measured))
            }
        };
        Started::Continues(CallTask { id: call.id, method, handle, inbox })
    }

    /// Continues the handler on a task of its own. It pauses, for a bounded time, while too many replies wait for the client.
    fn spawn(
        &self,
        call: CallHead,
        deadline: Option<Instant>,
        active: ActiveCall,
        mut running: Replying,
        mut measured: MeasuredCall,
    ) -> AbortHandle {
        let in_flight = InFlight::timed(&self.seat, deadline);
        let (shared, reply_queue) = (Arc::clone(&self.shared), Arc::clone(&self.reply_queue));
        let task = async move {
            let mut out = Vec::new();
            let mut pause = None;
            poll_fn(|cx| {
                if is_over(deadline) {
                    return Poll::Pending;
                }
                if !reply_queue.has_room(call.id, cx) {
                    ready!(
                        pause
                            .get_or_insert_with(|| PauseTimer::new(&shared, &reply_queue))
                            .poll(cx, &reply_queue)
                    );
                }
                poll_handler(&call, &active.0, &mut running, &mut measured.scope, cx, &mut out)
            })
            .await;
            drop_quietly(running);
            drop((active, measured));
            in_flight.done();
            reply_queue.push(&call, &out);
        };
        tokio::spawn(task).abort_handle()
    }

    /// Polls a handler that gives messages on a task of its own.
    fn spawn_stream(&self, deadline: Option<Instant>, mut stream: StreamTask) -> AbortHandle {
        let in_flight = InFlight::new(&self.seat);
        let reply_queue = Arc::clone(&self.reply_queue);
        let task = async move {
            let poll = |cx: &mut Context<'_>| {
                if is_over(deadline) { Poll::Pending } else { stream.poll(cx, &reply_queue) }
            };
            poll_fn(poll).await;
            drop_quietly(stream);
            drop(in_flight);
        };
        tokio::spawn(task).abort_handle()
    }
}

/// Returns true after the deadline: the session answers and aborts the call. A busy runtime may poll it before that.
fn is_over(deadline: Option<Instant>) -> bool {
    deadline.is_some_and(|at| at <= clock::now())
}

/// Ends the messages of a call that has ended: what holds them may outlive its handler.
fn cut(inbox: Option<&Arc<Inbox>>) {
    if let Some(inbox) = inbox {
        inbox.end(InboxEnd::Cut);
    }
}

/// Polls the handler, inside its call. At `Ready`, with the code of the reply, the whole reply frame is at the end of `out`.
fn poll_handler(
    call: &CallHead,
    state: &CallState,
    running: &mut Replying,
    scope: &mut CallScope,
    cx: &mut Context<'_>,
    out: &mut Vec<u8>,
) -> Poll<Code> {
    let mut reply = ReplyWriter::new(out, call.id);
    let mut poll = || running.as_mut().poll_reply(cx, call.format, reply.payload());
    let polled = catch_unwind(AssertUnwindSafe(|| scope.enter(&mut poll)));
    let code = match polled {
        Ok(Poll::Pending) => return Poll::Pending,
        Ok(Poll::Ready(Ok(()))) => {
            state.write_metadata(call, &mut reply);
            match reply.finish(call.max_frame) {
                Ok(()) => Code::OK,
                Err(error) => call.fail_too_long(&error, out),
            }
        }
        Ok(Poll::Ready(Err(error))) => {
            drop(reply);
            state.write_failure(call, error, out)
        }
        Err(_) => {
            drop(reply);
            call.fail_with(&session::panicked(), out)
        }
    };
    scope.end(code);
    Poll::Ready(code)
}

/// Drops a handler whose reply is complete. A panic of its destructor goes no further.
fn drop_quietly<T>(running: T) {
    let _ = survive(|| drop(running));
}

/// Timer for the checks of a [`Pause`].
struct PauseTimer {
    pause: Pause,
    shared: Arc<Shared>,
    sleep: Pin<Box<Sleep>>,
}

impl PauseTimer {
    fn new(shared: &Arc<Shared>, reply_queue: &SharedReplyQueue) -> Self {
        let pause = Pause::new(shared.clock.now(), reply_queue.written());
        let mut timer =
            Self { pause, shared: Arc::clone(shared), sleep: Box::pin(sleep_until(clock::now())) };
        timer.set();
        timer
    }

    /// Completes when the pause is over.
    fn poll(&mut self, cx: &mut Context<'_>, reply_queue: &SharedReplyQueue) -> Poll<()> {
        while self.set() {
            ready!(self.sleep.as_mut().poll(cx));
            self.pause.check(self.shared.clock.now(), reply_queue.written());
        }
        Poll::Ready(())
    }

    /// Sets the timer to the next check; returns false after the end of the pause.
    fn set(&mut self) -> bool {
        let Some(at) = self.pause.poll_deadline().and_then(|at| self.shared.clock.instant(at)) else {
            return false;
        };
        if self.sleep.deadline() != at {
            self.sleep.as_mut().reset(at);
        }
        true
    }
}
