//! Errors of layers as those of calls.

use rpc_wire::Status;
use tower::BoxError;
use tower::load_shed::error::Overloaded;
use tower::timeout::error::Elapsed;

use crate::error::Error;
use crate::shared::Shared;

/// Returns the error of a call that a layer has answered with the response to a call of another kind.
pub(crate) fn foreign_response(shared: &Shared, method: &str) -> Error {
    let status = Status::internal("a layer of this client has answered with the response to another call");
    let service = shared.config.service.clone();
    Error::Status { service, method: method.to_owned(), status, not_run: false }
}

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
