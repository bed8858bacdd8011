//! Closes the session of another process.

use std::time::Duration;

use zk_client::Connect;

use crate::builder::Builder;
use crate::credentials::Credentials;
use crate::error::Error;

/// Closes the session of a process that has died, so that its instances go at once and not after the session timeout.
/// Succeeds if the session is gone already. A process that is alive after all registers again in a new session. This
/// function does not log in: if the servers require a login, use [`Builder::close_session`].
///
/// # Errors
/// [`Error::Connect`] if no server confirmed it within `timeout`.
pub async fn close_session(servers: &str, credentials: &Credentials, timeout: Duration) -> Result<(), Error> {
    Builder::new().servers(servers).close_session(credentials, timeout).await
}

/// Closes a session as [`close_session`] does, over connections of another kind than TCP; see [`Builder::via`].
///
/// # Errors
/// [`Error::Connect`] if no server confirmed it within `timeout`.
pub async fn close_session_via(
    connector: impl Connect,
    servers: &str,
    credentials: &Credentials,
    timeout: Duration,
) -> Result<(), Error> {
    Builder::new().servers(servers).via(connector).close_session(credentials, timeout).await
}

impl Builder {
    /// Closes the session of a process that has died, as [`close_session`] does, over a connection with all that is set here: TLS,
    /// and the identities and the login of a client. Where servers ask each connection for a login, they let nobody close a
    /// session without one.
    ///
    /// # Errors
    /// [`Error::Connect`] if no server confirmed it within `timeout`, or if one refused who this client is.
    pub async fn close_session(self, credentials: &Credentials, timeout: Duration) -> Result<(), Error> {
        let closed = self.into_client().close_session(credentials.to_client(), timeout).await;
        closed.map(|_| ()).map_err(Error::Connect)
    }
}
