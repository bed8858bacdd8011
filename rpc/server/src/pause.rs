//! The pause of a call whose client does not read.

use crate::{clock, outbox::Outbox};
use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::time::{Sleep, sleep};

/// Lasts while the client reads at a fair rate, and a second longer: a call may hold what others wait for.
#[derive(Debug)]
pub(crate) struct Pause {
    sleep: Pin<Box<Sleep>>,
    /// What had been written to the client when the sleep began.
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
            let written = outbox.written();
            self.over = written.saturating_sub(self.written) < FAIR;
            self.written = written;
            self.sleep.as_mut().reset(clock::now() + LOOK_AGAIN);
        }
        Poll::Ready(())
    }
}

const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Bytes that a client reads in that time if it reads at all.
const FAIR: u64 = 64 << 10;
