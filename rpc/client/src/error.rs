//! Why a call gave no result, and what the caller can conclude from it.

use rpc_wire::{Code, PayloadError, Shown, Status};

/// A call that gave no result.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The registry knows no instance of the service.
    #[error("{service}: no instance is known; is it running and registered under this name?")]
    NoInstances {
        /// The service.
        service: String,
    },
    /// Instances are known, but none took the call.
    #[error("{service}: no instance can be reached: {reason}")]
    Unreachable {
        /// The service.
        service: String,
        /// The last failure.
        reason: String,
    },
    /// The time was over before there was an answer.
    #[error("{service}.{method}: no answer in time{}", if *.sent { "; the call may have run" } else { "" })]
    Deadline {
        /// The service.
        service: String,
        /// The method.
        method: String,
        /// Whether the call was sent to an instance.
        sent: bool,
    },
    /// An instance answered with a failure.
    #[error("{service}.{method}: {status}")]
    Status {
        /// The service.
        service: String,
        /// The method.
        method: String,
        /// What it answered.
        status: Status,
        /// Whether it says that nothing of the call ran.
        not_run: bool,
    },
    /// The connection broke after the call was sent and before the answer. A call that is declared idempotent is tried
    /// again first, [`ClientBuilder::max_retries`](crate::ClientBuilder::max_retries) times.
    #[error(
        "{service}.{method}: connection to {} lost before the answer: {reason}; the call may have run",
        Shown(instance)
    )]
    ConnectionLost {
        /// The service.
        service: String,
        /// The method.
        method: String,
        /// Who was called.
        instance: String,
        /// The end of the connection, in words.
        reason: String,
    },
    /// The argument cannot be written: it does not fit the payload format or a limit.
    #[error("{method}: the argument cannot be sent: {reason}")]
    Argument {
        /// The method.
        method: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The result is not of the type that was asked for.
    #[error("{method}: the result cannot be read: {source}")]
    Result {
        /// The method.
        method: String,
        /// What is wrong with it.
        source: PayloadError,
    },
    /// The registry could not be asked.
    #[error(transparent)]
    Registry(#[from] registry::Error),
}

impl Error {
    /// The status code that says the same: for a program that decides by codes, or passes the failure on.
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

    /// Whether the handler may have run, at least in part. If not, to call again can do no harm.
    pub fn may_have_been_applied(&self) -> bool {
        match self {
            Self::Status { not_run, .. } => !not_run,
            Self::Deadline { sent, .. } => *sent,
            Self::ConnectionLost { .. } | Self::Result { .. } => true,
            Self::NoInstances { .. }
            | Self::Unreachable { .. }
            | Self::Argument { .. }
            | Self::Registry(_) => false,
        }
    }
}
