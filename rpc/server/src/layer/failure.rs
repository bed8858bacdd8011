//! Errors of layers as statuses.

use common::log::quietly;
use rpc_wire::Status;
use tower::BoxError;
use tower::load_shed::error::Overloaded;
use tower::timeout::error::Elapsed;

/// Returns the status for the caller.
pub(super) fn status_of(error: BoxError) -> Status {
    let error = match error.downcast::<Status>() {
        Ok(status) => return *status,
        Err(error) => error,
    };
    if error.is::<Elapsed>() {
        Status::deadline_exceeded("a time limit of this server is over")
    } else if error.is::<Overloaded>() {
        Status::resource_exhausted("this server is overloaded")
    } else {
        // What a layer says may not be for callers.
        quietly(|| tracing::warn!(%error, "a layer has failed"));
        Status::internal("the call has failed; the server's log has the reason")
    }
}
