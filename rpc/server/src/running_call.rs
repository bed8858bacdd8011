//! The handler of a call: its opening, its polls, and its run to the end on a task of its own.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use common::log::survive;
use rpc_wire::{Code, ReplyWriter};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::active_call::ActiveCall;
use crate::clock;
use crate::context::CallState;
use crate::handler::{Handler, Opening, PollReply, Running};
use crate::inbox::{Inbox, InboxEnd};
use crate::peers::InFlight;
use crate::scope::CallScope;
use crate::session::{self, CallHead, Pause};
use crate::shared::Shared;
use crate::shared_reply_queue::SharedReplyQueue;
use crate::stream_task::StreamTask;

/// Handler of a unary call, or of one that takes messages and gives a result.
type Replying = Pin<Box<dyn PollReply + Send>>;

/// Parts of a call in flight beside its handler, for its task.
pub(crate) struct CallRunner {
    pub(crate) reply_queue: Arc<SharedReplyQueue>,
    pub(crate) call: CallHead,
    pub(crate) deadline: Option<Instant>,
    pub(crate) in_flight: InFlight,
}

impl CallRunner {
    /// Runs a handler to its end. It pauses, for a bounded time, while too many replies wait for the client.
    pub(crate) fn reply(
        self,
        mut running: Replying,
        mut active: ActiveCall,
    ) -> impl Future<Output = ()> + Send {
        let Self { reply_queue, call, deadline, in_flight } = self;
        // Not an `async fn`, which would hold its arguments twice.
        async move {
            let mut out = Vec::new();
            let mut pause = None;
            let ActiveCall { shared, state, scope, .. } = &mut active;
            poll_fn(|cx| {
                if is_over(deadline) {
                    return Poll::Pending;
                }
                if !reply_queue.has_room(call.id, cx) {
                    ready!(
                        pause
                            .get_or_insert_with(|| PauseTimer::new(shared, &reply_queue))
                            .poll(cx, &reply_queue)
                    );
                }
                poll_handler(&call, state, &mut running, scope, cx, &mut out)
            })
            .await;
            drop_quietly(running);
            drop(active);
            in_flight.done();
            reply_queue.push(&call, &out);
        }
    }

    /// Runs a handler that gives messages to its end.
    pub(crate) fn messages(self, mut stream: StreamTask) -> impl Future<Output = ()> + Send {
        let Self { reply_queue, deadline, in_flight, .. } = self;
        async move {
            let poll = |cx: &mut Context<'_>| {
                if is_over(deadline) { Poll::Pending } else { stream.poll(cx, &reply_queue) }
            };
            poll_fn(poll).await;
            drop_quietly(stream);
            drop(in_flight);
        }
    }
}

/// Opens the handler of a call. If that fails, with the code of the reply, the whole reply frame is at the end of `out`.
pub(crate) fn open(
    call: &CallHead,
    handler: &Handler,
    opening: Opening<'_>,
    scope: &mut CallScope,
    out: &mut Vec<u8>,
) -> Result<Running, Code> {
    let status = match catch_unwind(AssertUnwindSafe(|| scope.enter(|| handler(opening)))) {
        Ok(Ok(running)) => return Ok(running),
        Ok(Err(status)) => {
            call.refuse(&status, out);
            status
        }
        Err(_) => {
            let status = session::panicked();
            call.fail(&status, out);
            status
        }
    };
    scope.end(status.code);
    Err(status.code)
}

/// Returns true after the deadline: the session answers and aborts the call. A busy runtime may poll it before that.
fn is_over(deadline: Option<Instant>) -> bool {
    deadline.is_some_and(|at| at <= clock::now())
}

/// Ends the messages of a call that has ended: what holds them may outlive its handler.
pub(crate) fn cut_messages(inbox: Option<&Arc<Inbox>>) {
    if let Some(inbox) = inbox {
        inbox.end(InboxEnd::Cut);
    }
}

/// Polls the handler, inside its call. At `Ready`, with the code of the reply, the whole reply frame is at the end of `out`.
pub(crate) fn poll_handler(
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
            match reply.finish(call.max_reply) {
                Ok(()) => Code::OK,
                Err(error) => call.fail_too_long("reply", &error, out),
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
pub(crate) fn drop_quietly<T>(running: T) {
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
