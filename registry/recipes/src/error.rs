//! Error of every operation, and the questions that a caller has about it.

use zk_client::ErrorCode;

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
        self.client_error().is_some_and(zk_client::Error::is_retryable)
    }

    /// Returns true if the servers may have performed the operation although the call failed.
    #[must_use]
    pub fn may_have_been_applied(&self) -> bool {
        self.client_error().is_some_and(zk_client::Error::may_have_been_applied)
    }

    /// Returns true if the session is over, and with it every ephemeral node that the recipe had.
    #[must_use]
    pub fn is_session_over(&self) -> bool {
        let is_closed = matches!(self.client_error(), Some(zk_client::Error::Closed { .. }));
        is_closed || self.code() == Some(ErrorCode::SESSION_EXPIRED)
    }

    fn client_error(&self) -> Option<&zk_client::Error> {
        match self {
            Self::Client { source, .. } => Some(source),
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
            (zk_client::Error::Closed { op, path: path() }, true),
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
