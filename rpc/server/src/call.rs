//! One call from its first poll to its reply: panics caught, deadline kept.

use crate::{outbox::Outbox, service::Running};
use rpc_wire::{CallId, EncodeError, Format, Frame, Reply, ReplyWriter, Status};
use std::{
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
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
    /// The largest frame body that the client takes.
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
    pub(crate) fn spawn(self, mut running: Running, outbox: Arc<Outbox>, in_flight: InFlight) -> AbortHandle {
        let task = async move {
            let mut out = Vec::new();
            let ended = poll_fn(|cx| self.poll(&mut running, cx, &mut out));
            let in_time = match self.deadline {
                Some(at) => timeout_at(at, ended).await.is_ok(),
                None => {
                    ended.await;
                    true
                }
            };
            if !in_time {
                self.fail(&too_late(), &mut out);
            }
            // The reply is complete; a destructor of the handler that panics takes nothing with it.
            let _ = catch_unwind(AssertUnwindSafe(|| drop(running)));
            drop(in_flight);
            outbox.push(self.id, &out);
        };
        tokio::spawn(task).abort_handle()
    }
}

/// Appends a failed reply; its message gives way if the client's limit is too small for it.
pub(crate) fn write_failed(out: &mut Vec<u8>, id: CallId, status: &Status, not_run: bool, max_frame: usize) {
    let reply = |message| Frame::Reply(Reply::Failed { id, code: status.code, message, not_run });
    if reply(&status.message).encode(out, max_frame).is_err() {
        // The smallest limit that a hello may name has room for this.
        let _ = reply("").encode(out, max_frame);
    }
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

/// A unit of the server's count of unfinished calls, given back on drop.
#[derive(Debug)]
pub(crate) struct InFlight(Arc<AtomicUsize>);

impl InFlight {
    pub(crate) fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count.clone())
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
