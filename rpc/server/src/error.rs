//! Errors of handlers.

use std::any::Any;
use std::error::Error as StdError;
use std::fmt::{self, Write};

use rpc_wire::Status;

/// Text of the answer in place of an internal error's own.
const HIDDEN: &str = "the handler failed; the server's log has the reason";

/// Error of a handler: a [`Status`] for the caller, or any other error, which is the server's own affair.
///
/// The operator `?` makes one of every error of [`std`]. A [`Status`] reaches the caller as it is. For all others the caller
/// gets `INTERNAL` without the reason, which may name a path or a query; the reason goes to the log. See
/// [`Server::expose_internal_errors`](crate::Server::expose_internal_errors).
///
/// ```
/// use rpc_server::{Code, Error, Result, Status};
///
/// fn port(text: &str) -> Result<u16> {
///     if text.is_empty() {
///         return Err(Status::invalid_argument("no port").into());
///     }
///     Ok(text.parse()?)
/// }
///
/// let status = |text| port(text).map_err(Error::into_status);
/// assert_eq!(status(""), Err(Status::invalid_argument("no port")));
/// assert_eq!(status("x").unwrap_err().code, Code::INTERNAL);
/// assert_eq!(port("x").unwrap_err().to_string(), "invalid digit found in string");
/// ```
///
/// Like `anyhow::Error`, it is no [`std::error::Error`] itself, because then it could not be made of all of them.
pub struct Error(Kind);

enum Kind {
    Status(Status),
    Internal(Box<dyn StdError + Send + Sync>),
}

/// Result of a handler that uses `?` on errors of any kind; see [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// Makes an internal error of an error that is no [`std::error::Error`], such as `anyhow`'s, or of a text.
    pub fn internal(reason: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self(Kind::Internal(reason.into()))
    }

    /// Returns the status for the caller: without the reason, if the error is internal.
    #[must_use]
    pub fn into_status(self) -> Status {
        match self.0 {
            Kind::Status(status) => status,
            Kind::Internal(_) => Status::internal(HIDDEN),
        }
    }

    /// Returns the reason of an internal error and those behind it; `None` for a status.
    pub(crate) fn internal_reason(&self) -> Option<String> {
        match &self.0 {
            Kind::Status(_) => None,
            Kind::Internal(error) => Some(chain(&**error)),
        }
    }
}

impl<E: StdError + Send + Sync + 'static> From<E> for Error {
    fn from(error: E) -> Self {
        let mut error = Some(error);
        let status = (&mut error as &mut dyn Any).downcast_mut::<Option<Status>>().and_then(Option::take);
        match (status, error) {
            (None, Some(error)) => Self(Kind::Internal(Box::new(error))),
            (status, _) => Self(Kind::Status(status.unwrap_or_else(|| Status::internal(HIDDEN)))),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Status(status) => status.fmt(f),
            Kind::Internal(error) => error.fmt(f),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Status(status) => status.fmt(f),
            Kind::Internal(error) => f.write_str(&chain(&**error)),
        }
    }
}

/// Errors that a handler may return: [`Error`], [`Status`], and every type that converts into a status.
///
/// ```
/// use rpc_server::{Context, Service, Status};
///
/// enum ShopError {
///     SoldOut(String),
/// }
///
/// impl From<ShopError> for Status {
///     fn from(error: ShopError) -> Self {
///         match error {
///             ShopError::SoldOut(item) => Self::failed_precondition(format!("no {item} is left")),
///         }
///     }
/// }
///
/// async fn sell(item: String, _: Context) -> Result<u32, ShopError> {
///     Err(ShopError::SoldOut(item))
/// }
///
/// let service = Service::builder("shop").method("sell", sell).build();
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the error of a handler",
    label = "the caller gets a `Status`, and this does not become one",
    note = "return `rpc_server::Result<T>`, which takes any error by `?`, or write `impl From<{Self}> for rpc_server::Status`"
)]
pub trait HandlerError {
    /// Returns the error in the common form.
    fn into_error(self) -> Error;
}

#[diagnostic::do_not_recommend]
impl<E: Into<Status>> HandlerError for E {
    fn into_error(self) -> Error {
        Error(Kind::Status(self.into()))
    }
}

impl HandlerError for Error {
    fn into_error(self) -> Error {
        self
    }
}

/// Returns the texts of an error and of its sources.
fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        // Writing to a string cannot fail.
        let _ = write!(text, ": {error}");
        source = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_operator_keeps_a_status_and_hides_every_other_error() {
        let status = || -> Result<()> { Ok(Err(Status::not_found("no tea"))?) };
        let other = || -> Result<()> { Ok(Err(std::io::Error::other("/etc/secret"))?) };
        assert_eq!(status().unwrap_err().into_status(), Status::not_found("no tea"));
        let error = other().unwrap_err();
        assert_eq!(error.internal_reason().as_deref(), Some("/etc/secret"));
        assert_eq!(error.into_status(), Status::internal(HIDDEN));
    }

    #[test]
    fn the_reasons_behind_an_error_are_told_to_the_log() {
        #[derive(Debug, thiserror::Error)]
        #[error("no price")]
        struct NoPrice(#[source] std::io::Error);
        let error = Error::from(NoPrice(std::io::Error::other("disk full")));
        assert_eq!(error.internal_reason().as_deref(), Some("no price: disk full"));
        assert_eq!(Error::internal("a text").to_string(), "a text");
    }
}
