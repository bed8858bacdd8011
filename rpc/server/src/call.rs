//! One call from its first poll to its reply: panics caught, deadline kept.

use crate::{clock, outbox::Outbox, pause::Pause, peers::InFlight, service::Running};
use rpc_wire::{CallId, EncodeError, Format, Frame, HEADER_LEN, Reply, ReplyWriter, Status};
use std::{
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    task::{Context, Poll, ready},
};
use tokio::{
    task::AbortHandle,
    time::{Instant, timeout_at},
};

/// What is needed to answer a call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    pub(crate) id: CallId,
    pub(crate) format: Format,
    /// The largest frame body for the reply.
    pub(crate) max_frame: usize,
    pub(crate) deadline: Option<Instant>,
}

impl Call {
    /// Polls the handler; when ready, the whole reply is at the end of `out`.
    pub(crate) fn poll(&self, running: &mut Running, cx: &mut Context<'_>, out: &mut Vec<u8>) -> Poll<()> {
        let mut reply = ReplyWriter::new(out, self.id);
        let polled =
            catch_unwind(AssertUnwindSafe(|| running.as_mut().poll_reply(cx, self.format, reply.payload())));
        let failed = match polled {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(Ok(()))) => match reply.finish(self.max_frame) {
                Ok(()) => return Poll::Ready(()),
                Err(error) => too_long(&error),
            },
            Ok(Poll::Ready(Err(status))) => {
                drop(reply);
                status
            }
            Err(_) => {
                drop(reply);
                panicked()
            }
        };
        self.fail(&failed, out);
        Poll::Ready(())
    }

    /// Appends a reply that says why the call failed.
    pub(crate) fn fail(&self, status: &Status, out: &mut Vec<u8>) {
        write_failed(out, self.id, status, false, self.max_frame);
    }

    /// Lets the handler go on, on a task of its own, until it is ready or the time is over.
    ///
    /// It pauses, for a bounded time, while its client does not read the replies that there are.
    pub(crate) fn spawn(self, mut running: Running, outbox: Arc<Outbox>, in_flight: InFlight) -> AbortHandle {
        let task = async move {
            let mut out = Vec::new();
            let mut pause = None;
            let ended = poll_fn(|cx| {
                // A runtime that is behind finds the end of the time and a handler that wants to go on at once.
                if self.deadline.is_some_and(|at| at <= clock::now()) {
                    return Poll::Ready(false);
                }
                if !outbox.has_room(self.id, cx) {
                    ready!(pause.get_or_insert_with(|| Pause::new(&outbox)).poll(cx, &outbox));
                }
                self.poll(&mut running, cx, &mut out).map(|()| true)
            });
            let in_time = match self.deadline {
                Some(at) => timeout_at(at, ended).await.unwrap_or(false),
                None => ended.await,
            };
            if !in_time {
                out.clear();
                self.fail(&too_late(), &mut out);
            }
            drop_quietly(running);
            drop(in_flight);
            outbox.push(self.id, &out, |out| self.fail(&unread(), out));
        };
        tokio::spawn(task).abort_handle()
    }
}

/// Drops a handler whose reply is complete: a destructor of it that panics takes nothing with it.
pub(crate) fn drop_quietly(running: Running) {
    let _ = catch_unwind(AssertUnwindSafe(|| drop(running)));
}

/// Appends a failed reply; of its message as much as the client's limit has room for.
pub(crate) fn write_failed(out: &mut Vec<u8>, id: CallId, status: &Status, not_run: bool, max_frame: usize) {
    let reply = |message| Frame::Reply(Reply::Failed { id, code: status.code, message, not_run });
    // The smallest limit that a hello may name has room for the rest.
    let _ = reply(cut(&status.message, max_frame.saturating_sub(FAILED_LEN))).encode(out, max_frame);
}

/// The beginning of a text, up to `max` bytes.
pub(crate) fn cut(text: &str, max: usize) -> &str {
    let mut end = max.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

pub(crate) fn too_late() -> Status {
    Status::deadline_exceeded("the time for the call was over before it ended")
}

pub(crate) fn panicked() -> Status {
    Status::internal("the handler panicked; the server's standard error has the details")
}

fn too_long(error: &EncodeError) -> Status {
    Status::resource_exhausted(format!("the reply is too long: {error}"))
}

fn unread() -> Status {
    Status::resource_exhausted("the call ran, but its client does not read the replies that there are")
}

/// The body of a failed reply without its message.
const FAILED_LEN: usize = HEADER_LEN - 4 + 1;

#[cfg(test)]
mod tests {
    use super::*;
    use rpc_wire::split_frame;

    #[test]
    fn a_message_over_the_limit_of_the_client_is_cut_not_lost() {
        let mut out = Vec::new();
        let status = Status::not_found("ü".repeat(10_000));
        write_failed(&mut out, CallId(1), &status, false, 1_024);
        let (body, _) = split_frame(&out, 1_024).unwrap().unwrap();
        let Frame::Reply(Reply::Failed { message, .. }) = Frame::decode(body).unwrap() else {
            panic!("a failure")
        };
        assert_eq!(message, "ü".repeat((1_024 - FAILED_LEN) / 2));
    }
}
