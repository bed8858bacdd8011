//! Computations that take their time, beside the thread that serves.

use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use crate::error::ApiError;

/// Number of long computations at a time: each may hold a whole tree.
static COMPUTATIONS: Semaphore = Semaphore::const_new(4);

/// Number of short computations at a time. They wait for none of the long ones.
static SHORT_COMPUTATIONS: Semaphore = Semaphore::const_new(4);

/// Number of futures that are completed at a time, with a thread each. The runtime has 512 threads: some are left for computations.
static COMPLETIONS: Semaphore = Semaphore::const_new(MAX_COMPLETIONS);

const MAX_COMPLETIONS: usize = 64;

/// Computes on a thread that may take its time: the one that serves has other requests. Few do so at a time.
///
/// # Errors
/// Those of `compute`, and an internal error if it panics.
pub(crate) async fn blocking<T: Send + 'static>(
    compute: impl FnOnce() -> Result<T, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
    in_turn(&COMPUTATIONS, compute).await
}

/// Computes as [`blocking`] does, and does not wait for long computations: for lists that people look at.
///
/// # Errors
/// Those of `compute`, and an internal error if it panics.
pub(crate) async fn blocking_shortly<T: Send + 'static>(
    compute: impl FnOnce() -> Result<T, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
    in_turn(&SHORT_COMPUTATIONS, compute).await
}

async fn in_turn<T: Send + 'static>(
    turns: &'static Semaphore,
    compute: impl FnOnce() -> Result<T, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
    // Nobody closes it. The permit goes with the computation, not with a client that leaves.
    let permit = turns.acquire().await;
    let computed = spawn_blocking(move || {
        let _permit = permit;
        compute()
    });
    computed
        .await
        .unwrap_or_else(|_| Err(ApiError::internal("a defect of zk-mini: the request was given up")))
}

/// Completes a future on a thread that may take its time, also if the client of the request goes meanwhile. Of a client that goes
/// before its turn comes, nothing is begun. No future may wait for another request.
///
/// # Errors
/// Those of `work`, and an internal error if it panics.
pub(crate) async fn completely<T: Send + 'static>(
    work: impl Future<Output = Result<T, ApiError>> + Send + 'static,
) -> Result<T, ApiError> {
    let runtime = Handle::current();
    in_turn(&COMPLETIONS, move || runtime.block_on(work)).await
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;
    use std::sync::atomic::Ordering::SeqCst;
    use std::task::Poll;
    use std::time::Duration;

    use tokio::sync::{mpsc, oneshot, watch};

    use super::*;

    #[tokio::test]
    async fn work_is_completed_for_a_client_that_has_gone() {
        let (begin, begun) = oneshot::channel();
        let (go_on, may_go_on) = oneshot::channel::<()>();
        let (complete, completed) = oneshot::channel();
        let request = tokio::spawn(completely(async move {
            let _ = begin.send(());
            let _ = may_go_on.await;
            let _ = complete.send(());
            Ok(())
        }));
        begun.await.unwrap();
        request.abort();
        assert!(request.await.unwrap_err().is_cancelled());
        go_on.send(()).unwrap();
        tokio::time::timeout(Duration::from_secs(20), completed).await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn no_more_threads_complete_work_than_may_be() {
        let running = Arc::new(AtomicUsize::new(0));
        let (open, gate) = watch::channel(false);
        let (begun, mut begins) = mpsc::unbounded_channel();
        let request = |_| {
            let (running, mut gate, begun) = (Arc::clone(&running), gate.clone(), begun.clone());
            Box::pin(completely(async move {
                let _ = begun.send(running.fetch_add(1, SeqCst) + 1);
                let _ = gate.wait_for(|is_open| *is_open).await;
                running.fetch_sub(1, SeqCst);
                Ok(())
            }))
        };
        let mut requests: Vec<_> = (0..3 * MAX_COMPLETIONS).map(request).collect();
        for request in &mut requests {
            let polled = poll_fn(|cx| Poll::Ready(request.as_mut().poll(cx))).await;
            assert!(polled.is_pending());
        }
        assert_eq!(COMPLETIONS.available_permits(), 0, "the others wait");
        let mut most = 0;
        for _ in 0..MAX_COMPLETIONS {
            most = most.max(begins.recv().await.unwrap());
        }
        open.send(true).unwrap();
        for request in requests {
            request.await.unwrap();
        }
        drop(begun);
        while let Some(at_once) = begins.recv().await {
            most = most.max(at_once);
        }
        assert_eq!(most, MAX_COMPLETIONS);
    }
}
