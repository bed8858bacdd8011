//! Handlers that give messages: polled as far as the client, and the other streams, leave room.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::{Context, Poll};

use rpc_wire::{Code, EncodeError, MessageWriter, ReplyWriter};

use crate::active_call::ActiveCall;
use crate::error::Error;
use crate::handler::PollMessage;
use crate::session::{self, CallHead};
use crate::shared_reply_queue::SharedReplyQueue;
use crate::spare;

/// Handler that gives messages.
pub(crate) struct StreamTask {
    call: CallHead,
    /// Dropped before the call ends, so that its context is not told of that.
    handler: Box<dyn PollMessage + Send>,
    active: ActiveCall,
}

/// Reason for which a handler gives no more messages now.
enum Pause {
    /// There is no room.
    Full,
    /// The handler waits.
    Waiting,
    /// The stream has ended: the reply follows the last message.
    Ended,
}

impl StreamTask {
    pub(crate) fn new(call: CallHead, handler: Box<dyn PollMessage + Send>, active: ActiveCall) -> Self {
        Self { call, handler, active }
    }

    /// Produces messages while there is room. Completes when the reply is in the queue.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, reply_queue: &SharedReplyQueue) -> Poll<()> {
        let room = reply_queue.stream_room(self.call.id, cx);
        if room == 0 {
            return Poll::Pending;
        }
        let mut out = spare::take();
        let pause = self.produce(cx, room, &mut out);
        if !out.is_empty() {
            reply_queue.push_messages(self.call.id, &mut out, matches!(pause, Pause::Ended));
        }
        spare::give_back(out);
        match pause {
            Pause::Full => {
                // The connection's task, which has just been woken, makes room before this one continues.
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Pause::Waiting => Poll::Pending,
            Pause::Ended => Poll::Ready(()),
        }
    }

    fn produce(&mut self, cx: &mut Context<'_>, room: usize, out: &mut Vec<u8>) -> Pause {
        let Self { call, handler, active } = self;
        let mut sent = 0;
        let give = || give_messages(call, handler.as_mut(), cx, room, out, &mut sent);
        // Entered once for many messages, because that costs as much as a short one.
        let stopped = catch_unwind(AssertUnwindSafe(|| active.scope.enter(give)));
        active.series().sent.add(sent);
        let code = match stopped {
            Ok(Stop::Full) => return Pause::Full,
            Ok(Stop::Waiting) => return Pause::Waiting,
            Ok(Stop::TooLong(error)) => call.fail_too_long("message", &error, out),
            Ok(Stop::Failed(error)) => active.state.write_failure(call, error, out),
            Ok(Stop::Finished) => {
                let mut reply = ReplyWriter::new(out, call.id);
                active.state.write_metadata(call, &mut reply);
                match reply.finish(call.max_reply) {
                    Ok(()) => Code::OK,
                    Err(error) => call.fail_too_long("reply", &error, out),
                }
            }
            Err(_) => call.fail_with(&session::panicked(), out),
        };
        active.scope.end(code);
        Pause::Ended
    }
}

/// Reason for which no message follows in a turn of a handler.
enum Stop {
    Full,
    Waiting,
    Finished,
    Failed(Error),
    TooLong(EncodeError),
}

/// Writes messages, which it counts, while there is room.
fn give_messages(
    call: &CallHead,
    handler: &mut (dyn PollMessage + Send),
    cx: &mut Context<'_>,
    room: usize,
    out: &mut Vec<u8>,
    sent: &mut u64,
) -> Stop {
    while out.len() < room {
        let mut message = MessageWriter::new(out, call.id);
        match handler.poll_message(cx, call.format, message.payload()) {
            Poll::Pending => return Stop::Waiting,
            Poll::Ready(None) => return Stop::Finished,
            Poll::Ready(Some(Err(error))) => return Stop::Failed(error),
            Poll::Ready(Some(Ok(()))) => {}
        }
        if let Err(error) = message.finish(call.max_message) {
            return Stop::TooLong(error);
        }
        *sent += 1;
    }
    Stop::Full
}
