//! The crate's error.

use crate::instance::InstanceError;
use crate::service::NameError;

/// Why something asked of the registry did not succeed.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No registry was reached; the message names the servers that were tried.
    #[error("cannot connect to the registry: {0}")]
    Connect(#[source] zk_client::Error),
    /// The string cannot name a service.
    #[error("{name:?} cannot name a service: {reason}")]
    Name {
        /// The name as given.
        name: String,
        /// What is wrong with it.
        reason: NameError,
    },
    /// The instance cannot be registered.
    #[error("the instance cannot be registered: {0}")]
    Instance(#[from] InstanceError),
    /// The registry did not do it.
    #[error("cannot {action} service {service:?}: {source}")]
    Refused {
        /// What was to be done.
        action: &'static str,
        /// The service.
        service: String,
        /// The answer.
        source: zk_client::Error,
    },
    /// The session could not be closed.
    #[error("cannot close the session: {0}; it ends by its timeout")]
    Close(#[source] zk_client::Error),
    /// The registry was closed, by [`Registry::close`](crate::Registry::close) or with its runtime.
    #[error("the registry is closed; connect a new one")]
    Closed,
    /// The registration was withdrawn.
    #[error("the registration was withdrawn; register again")]
    Withdrawn,
    /// The embedded server did not start.
    #[cfg(feature = "embedded")]
    #[error("the embedded registry did not start: {0}")]
    Embedded(String),
}

impl Error {
    /// Whether the same call may succeed when it is made again, with nothing changed but time.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Connect(source) | Self::Refused { source, .. } | Self::Close(source) => {
                source.is_retryable()
            }
            _ => false,
        }
    }
}
