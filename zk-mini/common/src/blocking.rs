//! Asynchronous interfaces for code without async: the background thread that serves them, and the waiting for them.

use std::sync::OnceLock;
use std::thread;
use std::time::Duration;

use tokio::runtime::{Builder, Handle};

/// Waiting for a future, or for what becomes one, in code without async.
///
/// The calling thread sleeps meanwhile. Tasks, timers and sockets that the future makes belong to the
/// [background thread](background), and go on when the waiting is over.
pub trait Wait: IntoFuture {
    /// Waits until it is done, and returns its output.
    ///
    /// # Panics
    /// In async code, which would stand still meanwhile: use `.await` there. Also if the system gives no thread.
    fn wait(self) -> Self::Output;

    /// Waits until it is done, but no longer than this time; then it is dropped, and `None` returned.
    ///
    /// # Panics
    /// As [`wait`](Self::wait).
    fn wait_at_most(self, time: Duration) -> Option<Self::Output>;
}

impl<F: IntoFuture> Wait for F {
    fn wait(self) -> Self::Output {
        runtime().block_on(self.into_future())
    }

    fn wait_at_most(self, time: Duration) -> Option<Self::Output> {
        runtime().block_on(async { tokio::time::timeout(time, self).await.ok() })
    }
}

fn runtime() -> Handle {
    background().unwrap_or_else(|| panic!("the system gives no thread, or no descriptors, for a runtime"))
}

/// Returns the runtime of the background thread, with sockets and timers. The process has one, from the first call on and
/// as long as it lasts. `None` if the system gives no thread or descriptors.
#[must_use]
pub fn background() -> Option<Handle> {
    static BACKGROUND: OnceLock<Handle> = OnceLock::new();
    if let Some(handle) = BACKGROUND.get() {
        return Some(handle.clone());
    }
    let runtime = Builder::new_current_thread().enable_all().build().ok()?;
    let handle = runtime.handle().clone();
    let run = move || runtime.block_on(std::future::pending::<()>());
    thread::Builder::new().name("zk-mini".into()).spawn(run).ok()?;
    // Of two that were started at the same time, one stays idle.
    Some(BACKGROUND.get_or_init(|| handle).clone())
}

#[cfg(test)]
mod tests {
    use tokio::time::sleep;

    use super::*;

    #[test]
    fn a_task_goes_on_after_the_waiting() {
        let (done, is_done) = std::sync::mpsc::channel();
        let task = async move {
            sleep(Duration::from_millis(1)).await;
            done.send(()).unwrap();
        };
        async { drop(tokio::spawn(task)) }.wait();
        is_done.recv_timeout(Duration::from_secs(20)).unwrap();
    }

    #[test]
    fn the_waiting_can_be_limited() {
        assert_eq!(async { 7 }.wait_at_most(Duration::from_secs(20)), Some(7));
        assert_eq!(std::future::pending::<()>().wait_at_most(Duration::from_millis(1)), None);
    }

    #[test]
    fn a_thread_that_an_async_program_has_for_blocking_calls_may_wait() {
        let runtime = Builder::new_current_thread().build().unwrap();
        let waited = runtime.block_on(async { tokio::task::spawn_blocking(|| async { 7 }.wait()).await });
        assert_eq!(waited.unwrap(), 7);
    }

    #[tokio::test]
    #[should_panic(expected = "Cannot start a runtime from within a runtime")]
    async fn async_code_may_not_wait() {
        async {}.wait();
    }
}
