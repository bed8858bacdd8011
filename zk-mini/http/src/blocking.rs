//! Computations that take their time, beside the thread that serves.

use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use crate::error::ApiError;

/// Number of long computations at a time: each may hold a whole tree.
static COMPUTATIONS: Semaphore = Semaphore::const_new(4);

/// Number of short computations at a time. They wait for none of the long ones.
static SHORT_COMPUTATIONS: Semaphore = Semaphore::const_new(4);

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
    on_a_thread(move || {
        let _permit = permit;
        compute()
    })
    .await
}

async fn on_a_thread<T: Send + 'static>(
    compute: impl FnOnce() -> Result<T, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
    let computed = spawn_blocking(compute).await;
    computed.unwrap_or_else(|_| Err(ApiError::internal("a defect of zk-mini: the request was given up")))
}

/// Completes a future on a thread that may take its time, also if the client of the request goes meanwhile.
///
/// # Errors
/// Those of `work`, and an internal error if it panics.
pub(crate) async fn completely<T: Send + 'static>(
    work: impl Future<Output = Result<T, ApiError>> + Send + 'static,
) -> Result<T, ApiError> {
    let runtime = Handle::current();
    on_a_thread(move || runtime.block_on(work)).await
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::sync::oneshot;

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
}
