//! Error of every operation, and the questions that a caller has about it.

use crate::instance::InstanceError;
use crate::service::NameError;

/// Error of an operation of the registry.
///
/// Two questions decide about the next step, as with [`zk_client::Error`]: [`is_retryable`](Self::is_retryable) tells if
/// the same call may succeed later, and [`may_have_been_applied`](Self::may_have_been_applied) tells if its effect must be
/// looked for before it is repeated.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No server was reached. The message names each server that was tried, with the cause.
    #[error("cannot connect to the registry: {0}")]
    Connect(#[source] zk_client::Error),
    /// The string cannot name a service.
    #[error("{name:?} cannot name a service: {reason}")]
    Name {
        /// The name as given.
        name: String,
        /// The rule that it breaks.
        reason: NameError,
    },
    /// The string cannot be the id of an instance.
    #[error("{id:?} cannot be the id of an instance: {reason}")]
    Id {
        /// The id as given.
        id: String,
        /// The rule that it breaks.
        reason: NameError,
    },
    /// Two formats of a registration write below the same node, where the readers of each would meet the other.
    #[error("two formats write below {path:?}: give one of them a path of its own, or leave it out")]
    SamePath {
        /// Path of the node.
        path: String,
    },
    /// The instance cannot be registered.
    #[error("the instance cannot be registered: {0}")]
    Instance(#[from] InstanceError),
    /// The servers refused the operation, or did not answer in time.
    #[error("cannot {action} service {service:?}: {source}")]
    Refused {
        /// The operation in words, such as `discover`.
        action: &'static str,
        /// Name of the service.
        service: String,
        /// Answer of the servers.
        source: zk_client::Error,
    },
    /// The servers refused to list the services.
    #[error("cannot list the services below {path:?}: {source}")]
    Services {
        /// Path of the node whose children are the services.
        path: String,
        /// Answer of the servers.
        source: zk_client::Error,
    },
    /// The session could not be closed.
    #[error("cannot close the session: {0}; it ends by its timeout")]
    Close(#[source] zk_client::Error),
    /// The registry was closed by [`Registry::close`](crate::Registry::close), or its runtime has ended.
    #[error("the registry is closed; connect a new one")]
    Closed,
    /// The registration was withdrawn, by us or because another instance has its id; see
    /// [`WithdrawReason`](crate::WithdrawReason).
    #[error("the registration was withdrawn, or a newer instance with its id has taken its place")]
    Withdrawn,
    /// The embedded server did not start.
    #[cfg(feature = "embedded")]
    #[error("the embedded registry did not start: {0}")]
    Embedded(String),
}

impl Error {
    /// Returns true if the same call may succeed later, with nothing changed but time.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        self.client_error().is_some_and(zk_client::Error::is_retryable)
    }

    /// Returns true if the servers may have performed the operation although the call failed.
    ///
    /// A failed [`Registry::register`](crate::Registry::register) withdraws by itself what it may have created, so a
    /// retry never makes a second instance.
    #[must_use]
    pub fn may_have_been_applied(&self) -> bool {
        self.client_error().is_some_and(zk_client::Error::may_have_been_applied)
    }

    fn client_error(&self) -> Option<&zk_client::Error> {
        match self {
            Self::Connect(source)
            | Self::Refused { source, .. }
            | Self::Services { source, .. }
            | Self::Close(source) => Some(source),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use zk_wire::ErrorCode;

    use super::*;

    #[test]
    fn an_error_answers_as_the_client_error_below_it() {
        let (op, path) = ("delete", || "/demo/a".to_owned());
        for source in [
            zk_client::Error::ConnectionLost { op, path: path(), sent: true },
            zk_client::Error::ConnectionLost { op, path: path(), sent: false },
            zk_client::Error::Server { op, path: path(), code: ErrorCode::NO_AUTH },
        ] {
            let answers = (source.is_retryable(), source.may_have_been_applied());
            let refused =
                Error::Refused { action: "withdraw", service: "demo".into(), source: source.clone() };
            let services = Error::Services { path: path(), source: source.clone() };
            for error in [Error::Connect(source.clone()), refused, services, Error::Close(source)] {
                assert_eq!((error.is_retryable(), error.may_have_been_applied()), answers, "{error}");
            }
        }
    }

    #[test]
    fn an_error_of_our_own_needs_a_change_by_the_caller() {
        for error in [Error::Closed, Error::Withdrawn, Error::Instance(InstanceError::EmptyHost)] {
            assert_eq!((error.is_retryable(), error.may_have_been_applied()), (false, false), "{error}");
        }
    }
}
