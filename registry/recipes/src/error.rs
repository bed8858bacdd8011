//! Error of every operation, and the questions that a caller has about it.

use bytes::Bytes;
use zk_client::ErrorCode;

use crate::queue_entry::QueueEntry;

/// Error of a recipe.
///
/// Three questions decide about the next step, as with [`zk_client::Error`]: [`is_retryable`](Self::is_retryable) tells if the
/// same call may succeed later, [`may_have_been_applied`](Self::may_have_been_applied) tells if its effect must be looked for
/// before it is repeated, and [`is_session_over`](Self::is_session_over) tells if the ephemeral nodes are gone.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The servers refused an operation, did not answer in time, or the client is closed.
    #[error("{recipe} {path}: {source}")]
    Client {
        /// Name of the recipe, such as `lock`.
        recipe: &'static str,
        /// Path of the recipe's node, as the caller gave it.
        path: String,
        /// Error of the operation, which names its node.
        source: zk_client::Error,
    },
    /// The reply was lost, and what is there now does not tell if the change was made.
    #[error("{recipe} {path}: the reply was lost, and it is not known if the change was made: {source}")]
    Unknown {
        /// Name of the recipe.
        recipe: &'static str,
        /// Path of the recipe's node, as the caller gave it.
        path: String,
        /// Error of the write.
        source: zk_client::Error,
    },
    /// Others changed the node first in every attempt. Nothing was changed.
    #[error(
        "{recipe} {path}: others were faster in {attempts} attempts; allow more attempts, or change it less often"
    )]
    Contended {
        /// Name of the recipe.
        recipe: &'static str,
        /// Path of the recipe's node, as the caller gave it.
        path: String,
        /// Number of attempts.
        attempts: u32,
    },
    /// The data of a [`Counter`](crate::Counter)'s node is no number of its format.
    #[error("counter {path}: {data:?} is no number of this counter's format")]
    NotANumber {
        /// Path of the node.
        path: String,
        /// Data of the node.
        data: Bytes,
    },
    /// A [`Counter`](crate::Counter)'s new number does not fit its format. Nothing was changed.
    #[error("counter {path}: {number} + {amount} does not fit the counter's format")]
    OutOfRange {
        /// Path of the node.
        path: String,
        /// Number before the change.
        number: i64,
        /// Amount to add.
        amount: i64,
    },
    /// An entry has gone from a [`Queue`](crate::Queue) while the reply to our own delete was lost: this client has taken it, or
    /// another one has. It is ours if no other client takes from the queue.
    #[error("queue: it is not known if {} was taken by this client or by another: {source}", .entry.path)]
    PerhapsTaken {
        /// The entry, with its data.
        entry: Box<QueueEntry>,
        /// Error of the delete.
        source: zk_client::Error,
    },
    /// The reply to our delete of an entry of a [`Queue`](crate::Queue) was lost, and this client cannot ask what became of it: it
    /// was closed, or the servers refuse it by now. The entry is still in the queue, or this client has taken it, or another one.
    #[error("queue: it is not known if {} is still there or was taken; look for it before its work is done: {source}", .entry.path)]
    PerhapsThere {
        /// The entry, with its data.
        entry: Box<QueueEntry>,
        /// Error that ended the attempts.
        source: zk_client::Error,
    },
    /// The queue has as many entries as it may have. Nothing was put.
    #[error("queue {path}: it has {limit} entries or more, which is its limit; take some first")]
    Full {
        /// Path of the queue.
        path: String,
        /// Limit of the queue.
        limit: usize,
    },
    /// The claim on an entry ended with its session, or was deleted: the entry is for others to take, unless they have done it
    /// already. Nothing was changed.
    #[error("queue: the claim {path} is lost; others may work on its entry now")]
    ClaimLost {
        /// Path of the claim.
        path: String,
    },
    /// The session of a member of a [`DoubleBarrier`](crate::DoubleBarrier) expired inside, or its node was deleted: others may have
    /// left before this one was done.
    #[error("double barrier {path}: this member was lost inside; others may have left before it was done")]
    MemberLost {
        /// Path of the barrier.
        path: String,
    },
}

impl Error {
    /// Returns a function that adds the recipe to an error of the client, for `map_err`.
    pub(crate) fn of(recipe: &'static str, path: &str) -> impl Fn(zk_client::Error) -> Self {
        move |source| Self::Client { recipe, path: path.to_owned(), source }
    }

    /// Returns the server's answer, if it refused an operation.
    #[must_use]
    pub fn code(&self) -> Option<ErrorCode> {
        self.client_error().and_then(zk_client::Error::code)
    }

    /// Returns true if the same call may succeed later, with nothing changed but time.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Contended { .. } | Self::Full { .. } => true,
            _ => self.client_error().is_some_and(zk_client::Error::is_retryable),
        }
    }

    /// Returns true if the servers may have performed the operation although the call failed.
    #[must_use]
    pub fn may_have_been_applied(&self) -> bool {
        matches!(self, Self::PerhapsThere { .. })
            || self.client_error().is_some_and(zk_client::Error::may_have_been_applied)
    }

    /// Returns true if the session is over, and with it every ephemeral node that the recipe had.
    #[must_use]
    pub fn is_session_over(&self) -> bool {
        self.client_error().is_some_and(zk_client::Error::is_session_over)
    }

    fn client_error(&self) -> Option<&zk_client::Error> {
        match self {
            Self::Client { source, .. }
            | Self::Unknown { source, .. }
            | Self::PerhapsTaken { source, .. }
            | Self::PerhapsThere { source, .. } => Some(source),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_the_recipe_and_answers_as_the_client_error_below_it() {
        let (op, path) = ("create", || "/locks/a/x".to_owned());
        for (source, is_session_over) in [
            (zk_client::Error::ConnectionLost { op, path: path(), sent: true }, false),
            (zk_client::Error::ConnectionLost { op, path: path(), sent: false }, false),
            (zk_client::Error::SessionExpired { op, path: path() }, true),
            (zk_client::Error::Closed { op, path: path(), sent: false }, true),
            (zk_client::Error::Server { op, path: path(), code: ErrorCode::NO_AUTH }, false),
        ] {
            let error = Error::of("lock", "/locks/a")(source.clone());
            assert!(error.to_string().starts_with("lock /locks/a: create /locks/a/x: "), "{error}");
            assert_eq!(error.code(), source.code());
            assert_eq!(error.is_retryable(), source.is_retryable());
            assert_eq!(error.may_have_been_applied(), source.may_have_been_applied());
            assert_eq!(error.is_session_over(), is_session_over, "{error}");
        }
    }
}
