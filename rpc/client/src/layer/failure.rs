//! Errors of layers as those of calls.

use rpc_wire::Status;
use tower::BoxError;
use tower::load_shed::error::Overloaded;
use tower::timeout::error::Elapsed;

use crate::error::Error;

/// Returns the error of a call that a layer has ended; `sent` if it may have been sent by then.
pub(super) fn error_of(error: BoxError, service: &str, method: String, sent: bool) -> Error {
    let error = match error.downcast::<Error>() {
        Ok(error) => return *error,
        Err(error) => error,
    };
    let service = service.to_owned();
    if error.is::<Elapsed>() {
        return Error::Deadline { service, method, sent };
    }
    let status = match error.downcast::<Status>() {
        Ok(status) => *status,
        Err(error) if error.is::<Overloaded>() => Status::resource_exhausted("this client is overloaded"),
        Err(error) => Status::internal(error.to_string()),
    };
    Error::Status { service, method, status, not_run: !sent }
}
