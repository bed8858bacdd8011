//! The runtime of a server, and that of its timers.
//!
//! A caller's runtime may have no drivers for sockets and timers, and asking it for them panics; one with a single
//! thread stands still while a test waits in a blocking client. So a server that listens runs on a thread that all
//! servers of the process share. A server in memory needs timers only: it runs on the caller's runtime, with the
//! timers of the shared thread. If tokio's clock is paused, everything runs on the caller's runtime.

use std::time::Duration;

use common::blocking::background;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio::time::{Instant, Sleep, Timeout};

use crate::error::Error;
use crate::shell::clock;

/// The runtime of a server, and that of its timers.
#[derive(Clone, Debug)]
pub(crate) struct Runtime {
    tasks: Handle,
    timers: Handle,
}

impl Runtime {
    /// Chooses the runtimes for a server that is started here.
    pub(crate) fn choose(listens: bool) -> Result<Self, Error> {
        let callers = Handle::try_current().ok();
        if let Some(callers) = &callers
            && clock::is_paused()
        {
            return Ok(Self { tasks: callers.clone(), timers: callers.clone() });
        }
        let shared = background().ok_or(Error::NoRuntime)?;
        let tasks = callers.filter(|_| !listens).unwrap_or_else(|| shared.clone());
        Ok(Self { tasks, timers: shared })
    }

    /// Runs a task.
    pub(crate) fn spawn<T: Send + 'static>(
        &self,
        task: impl Future<Output = T> + Send + 'static,
    ) -> JoinHandle<T> {
        self.tasks.spawn(task)
    }

    /// Returns the runtime of the timers.
    pub(crate) fn timers(&self) -> &Handle {
        &self.timers
    }

    /// Calls `make` where sockets and timers can be made.
    pub(crate) fn with_drivers<T>(&self, make: impl FnOnce() -> T) -> T {
        let _entered = self.timers.enter();
        make()
    }

    /// Waits for this time.
    pub(crate) fn sleep(&self, time: Duration) -> Sleep {
        self.with_drivers(|| tokio::time::sleep(time))
    }

    /// Waits until this time.
    pub(crate) fn sleep_until(&self, time: Instant) -> Sleep {
        self.with_drivers(|| tokio::time::sleep_until(time))
    }

    /// Waits for a future, but no longer than this time.
    pub(crate) fn timeout<F: Future>(&self, time: Duration, future: F) -> Timeout<F> {
        self.with_drivers(|| tokio::time::timeout(time, future))
    }
}
