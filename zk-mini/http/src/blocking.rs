//! Long computations, beside the thread that serves.

use tokio::runtime::Handle;
use tokio::task::spawn_blocking;

use crate::error::ApiError;

/// Computes on a thread that may take its time: the one that serves has other requests.
///
/// # Errors
/// Those of `compute`, and an internal error if it panics.
pub(crate) async fn blocking<T: Send + 'static>(
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
    blocking(move || runtime.block_on(work)).await
}
