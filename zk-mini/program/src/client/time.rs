//! Times of the server, for people; and the end of a command after a time.

use std::future::pending;
use std::num::NonZeroUsize;
use std::time::Duration;

use tokio::time::sleep;

use super::error::ClientError;

/// Returns a time of ISO 8601 in UTC with a blank in the middle, and without the zone, as `stat` prints it.
pub(crate) fn readable(iso: &str) -> String {
    iso.strip_suffix('Z').unwrap_or(iso).replacen('T', " ", 1)
}

/// Waits for this time; for ever without one.
pub(crate) async fn after(span: Option<Duration>) {
    match span {
        Some(span) => sleep(span).await,
        None => pending().await,
    }
}

/// Returns what the end of the time means: `seen` of `count` events, if these were awaited, are too few.
///
/// # Errors
/// [`ClientError::TooFewEvents`]
pub(crate) fn too_few(
    count: Option<NonZeroUsize>,
    span: Option<Duration>,
    seen: usize,
) -> Result<(), ClientError> {
    match (count, span) {
        (Some(wanted), Some(within)) => Err(ClientError::TooFewEvents { seen, wanted: wanted.get(), within }),
        _ => Ok(()),
    }
}
