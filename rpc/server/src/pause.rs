//! The pause of a call whose client does not read.

use crate::{clock, connection::STALL, outbox::Outbox};
use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::time::{Sleep, sleep};

/// Lasts while the client reads at a fair rate, and three seconds longer: a call may hold what others wait for.
#[derive(Debug)]
pub(crate) struct Pause {
    sleep: Pin<Box<Sleep>>,
    /// Bytes that had been written to the client when the sleep began.
    written: u64,
    over: bool,
}

impl Pause {
    pub(crate) fn new(outbox: &Outbox) -> Self {
        Self { sleep: Box::pin(sleep(LOOK_AGAIN)), written: outbox.written(), over: false }
    }

    /// Completes when the call has paused for long enough, and at once from then on.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, outbox: &Outbox) -> Poll<()> {
        while !self.over {
            ready!(self.sleep.as_mut().poll(cx));
            let (now, written) = (clock::now(), outbox.written());
            // A runtime that stood still did not write, whatever the client would have read.
            let stood_still = now.saturating_duration_since(self.sleep.deadline()) > STALL;
            self.over = written.saturating_sub(self.written) < FAIR && !stood_still;
            self.written = written;
            self.sleep.as_mut().reset(now + LOOK_AGAIN);
        }
        Poll::Ready(())
    }
}

const LOOK_AGAIN: Duration = Duration::from_secs(3);

/// Bytes that a client reads in that time if it reads at all.
const FAIR: u64 = 64 << 10;
