//! The error of a call, and the questions that a caller has about it.

use common::log::Shown;
use rpc_wire::{Code, Metadata, PayloadError, Status};

/// Error of a call.
///
/// Two questions decide about the next step: [`is_retryable`](Self::is_retryable) tells if the same call may succeed
/// later, and [`may_have_been_applied`](Self::may_have_been_applied) tells if repeating it could run it twice. A call that
/// is declared [idempotent](crate::Call::idempotent) has been retried already, as far as the limits allow.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No instance of the service is known.
    #[error("{service}: no instance is known; is it running and registered under this name?")]
    NoInstances {
        /// Name of the service.
        service: String,
    },
    /// Instances are known, but none of them took the call.
    #[error("{service}: no instance can be reached: {reason}")]
    Unreachable {
        /// Name of the service.
        service: String,
        /// Last failure.
        reason: String,
    },
    /// The deadline passed before there was an answer.
    #[error("{service}.{method}: no answer in time{}", if *.sent { "; the call may have run" } else { "" })]
    Deadline {
        /// Name of the service.
        service: String,
        /// Name of the method.
        method: String,
        /// True if the call was sent to an instance and may have run.
        sent: bool,
    },
    /// An instance answered with a failure.
    #[error("{service}.{method}: {status}")]
    Status {
        /// Name of the service.
        service: String,
        /// Name of the method.
        method: String,
        /// Answer of the instance.
        status: Status,
        /// True if nothing of the call ran, in any attempt.
        not_run: bool,
    },
    /// The connection broke after the call was sent and before the answer. An idempotent call is tried again first, up
    /// to [`ClientBuilder::max_retries`](crate::ClientBuilder::max_retries) times.
    #[error(
        "{service}.{method}: connection to {} lost before the answer: {reason}; the call may have run",
        Shown::text(instance)
    )]
    ConnectionLost {
        /// Name of the service.
        service: String,
        /// Name of the method.
        method: String,
        /// Identity of the process that was called.
        instance: String,
        /// Reason of the end of the connection, for a human.
        reason: String,
    },
    /// The argument cannot be sent: it does not fit the payload format or a limit.
    #[error("{method}: the argument cannot be sent: {reason}")]
    Argument {
        /// Name of the method.
        method: String,
        /// Reason, for a human.
        reason: String,
    },
    /// The result is not of the expected type.
    #[error("{method}: the result cannot be read: {source}")]
    Result {
        /// Name of the method.
        method: String,
        /// Reason.
        source: PayloadError,
    },
    /// The registry could not be asked, in [`ClientBuilder::connect`](crate::ClientBuilder::connect).
    #[error(transparent)]
    Registry(#[from] registry::Error),
}

impl Error {
    /// Returns the status code that says the same, for programs that decide by codes or pass the failure on.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::Status { status, .. } => status.code,
            Self::Deadline { .. } => Code::DEADLINE_EXCEEDED,
            Self::Argument { .. } => Code::INVALID_ARGUMENT,
            Self::Result { .. } => Code::INTERNAL,
            Self::NoInstances { .. } | Self::Unreachable { .. } => Code::UNAVAILABLE,
            Self::ConnectionLost { .. } | Self::Registry(_) => Code::UNAVAILABLE,
        }
    }

    /// Returns the names and values that came beside the failure of [`Error::Status`], if there are any.
    ///
    /// A server that is overloaded may have said there when it wants to be asked again: [`Status::retry_after`]. The client has
    /// kept to that, as far as the limits of retries and the deadline allow.
    #[must_use]
    pub fn metadata(&self) -> Option<&Metadata> {
        match self {
            Self::Status { status, .. } => status.metadata.as_deref(),
            _ => None,
        }
    }

    /// Returns true if the same call may succeed later, with nothing changed but time: no instance took it, the deadline
    /// passed, the connection broke, or the answer is `UNAVAILABLE`, `RESOURCE_EXHAUSTED` or `DEADLINE_EXCEEDED`.
    ///
    /// Any other answer would be the same again: the argument, the state of the service, or one of the programs has to
    /// change first. Retry by hand only after a pause, and unless the call is idempotent only if it cannot have been
    /// [applied](Self::may_have_been_applied).
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::NoInstances { .. } | Self::Unreachable { .. } => true,
            Self::Deadline { .. } | Self::ConnectionLost { .. } => true,
            Self::Status { status, .. } => {
                matches!(status.code, Code::UNAVAILABLE | Code::RESOURCE_EXHAUSTED | Code::DEADLINE_EXCEEDED)
            }
            Self::Argument { .. } | Self::Result { .. } => false,
            Self::Registry(source) => source.is_retryable(),
        }
    }

    /// Returns true if the handler may have run, at least in part, in any attempt: an answer came that does not rule it
    /// out, or the call was sent and no answer came.
    ///
    /// Otherwise the handler did not run, and repeating the call does no harm even if the handler is not idempotent.
    #[must_use]
    pub fn may_have_been_applied(&self) -> bool {
        match self {
            Self::Status { not_run, .. } => !not_run,
            Self::Deadline { sent, .. } => *sent,
            Self::ConnectionLost { .. } | Self::Result { .. } => true,
            Self::NoInstances { .. } | Self::Unreachable { .. } => false,
            Self::Argument { .. } | Self::Registry(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(code: Code, not_run: bool) -> Error {
        let (service, method) = ("s".to_owned(), "m".to_owned());
        Error::Status { service, method, status: Status::new(code, ""), not_run }
    }

    #[test]
    fn an_error_tells_if_a_retry_helps_and_if_it_does_harm() {
        let (service, method) = (|| "s".to_owned(), || "m".to_owned());
        let (instance, reason) = (|| "a".to_owned(), || "reset".to_owned());
        let lost = Error::ConnectionLost {
            service: service(),
            method: method(),
            instance: instance(),
            reason: reason(),
        };
        let late = |sent| Error::Deadline { service: service(), method: method(), sent };
        for (error, answers) in [
            (Error::NoInstances { service: service() }, (true, false)),
            (Error::Unreachable { service: service(), reason: reason() }, (true, false)),
            (late(false), (true, false)),
            (late(true), (true, true)),
            (lost, (true, true)),
            (answer(Code::UNAVAILABLE, true), (true, false)),
            (answer(Code::UNAVAILABLE, false), (true, true)),
            (answer(Code::RESOURCE_EXHAUSTED, true), (true, false)),
            (answer(Code::NOT_FOUND, false), (false, true)),
            (answer(Code::UNIMPLEMENTED, true), (false, false)),
            (Error::Argument { method: method(), reason: reason() }, (false, false)),
            (Error::Result { method: method(), source: PayloadError::TooDeep }, (false, true)),
            (Error::Registry(registry::Error::Closed), (false, false)),
        ] {
            assert_eq!((error.is_retryable(), error.may_have_been_applied()), answers, "{error}");
        }
    }
}
