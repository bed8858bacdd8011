//! Times of the server, for people; and the end of a command after a time.

use std::future::pending;
use std::time::Duration;

use tokio::time::sleep;

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
