//! Closes the session of another process.

use std::time::Duration;

use common::Millis;
use tokio::sync::oneshot;

use crate::builder::{Builder, Setup};
use crate::chroot::Chroot;
use crate::client::Client;
use crate::command::Command;
use crate::connect::Connect;
use crate::driver::Driver;
use crate::error::Error;
use crate::session::CloseResult;
use crate::session_state::Credentials;

/// State in which [`close_session`] found the session.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SessionEnd {
    /// The session was live and is closed now: its ephemeral nodes are gone.
    Closed,
    /// The session was gone before, or the password was wrong: servers answer both the same way.
    AlreadyGone,
}

/// Closes the session of a process that died, so that its ephemeral nodes go now and not after the session timeout. If the
/// session's owner is alive, it loses the session. This function does not log in: if the servers require a login, use
/// [`Builder::close_session`].
///
/// # Errors
/// [`Error::Servers`] if `servers` is invalid; [`Error::Tls`] if its files for TLS cannot be used; [`Error::Unreachable`] if no
/// server confirmed it within `timeout`.
///
/// ```
/// # use std::time::Duration;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let zk = zk_mini::ZkMini::start().await?;
/// # let servers = zk.connect_string();
/// use zk_client::{Client, SessionEnd, close_session};
///
/// let worker = Client::connect(&servers).await?;
/// let credentials = worker.credentials().expect("a connected client has a session");
/// let end = close_session(&servers, credentials, Duration::from_secs(5)).await?;
/// assert_eq!(end, SessionEnd::Closed);
/// # Ok(())
/// # }
/// ```
pub async fn close_session(
    servers: &str,
    credentials: Credentials,
    timeout: Duration,
) -> Result<SessionEnd, Error> {
    Client::builder().servers(servers).close_session(credentials, timeout).await
}

/// Closes a session like [`close_session`], over connections of another kind.
///
/// # Errors
/// The same as of [`close_session`].
pub async fn close_session_via(
    connector: impl Connect,
    servers: &str,
    credentials: Credentials,
    timeout: Duration,
) -> Result<SessionEnd, Error> {
    Client::builder().servers(servers).via(connector).close_session(credentials, timeout).await
}

impl Builder {
    /// Closes the session of a process that died, as [`close_session`] does, over a connection with all that is set here: TLS, and
    /// the identities and the login of a client. Where servers ask each connection for a login, they let nobody close a session
    /// without one. The session timeout and the chroot have no effect.
    ///
    /// # Errors
    /// [`Error::Servers`] if the list is invalid; [`Error::Tls`] if its files for TLS cannot be used; [`Error::Server`] with
    /// `AUTH_FAILED` as soon as a server refuses an identity, and [`Error::Login`] as soon as one refuses the login;
    /// [`Error::Unreachable`] if no server confirmed it within `timeout`.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let zk = zk_mini::ZkMini::builder().sasl_user("bob", "secret").require_auth(["sasl"]).start().await?;
    /// # let servers = zk.connect_string();
    /// use zk_client::{Client, SessionEnd};
    ///
    /// let bob = || Client::builder().servers(&servers).sasl("bob", "secret");
    /// let worker = bob().connect().await?;
    /// let credentials = worker.credentials().expect("a connected client has a session");
    /// let end = bob().close_session(credentials, Duration::from_secs(5)).await?;
    /// assert_eq!(end, SessionEnd::Closed);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn close_session(
        self,
        credentials: Credentials,
        timeout: Duration,
    ) -> Result<SessionEnd, Error> {
        let who = self.who();
        let Setup { mut config, servers, connector, clock, .. } = self.setup()?;
        config.session_timeout = Millis::from(timeout);
        config.connect_timeout = Millis::from(timeout);
        config.max_pending = 1;
        config.attach = Some(credentials);
        let (driver, commands, shared) =
            Driver::new(config, servers, connector, Chroot::default(), clock.clone());
        let (done, outcome) = oneshot::channel();
        // The driver holds the other end.
        let _ = commands.send(Command::Close { within: timeout, done });
        tokio::select! {
            biased;
            () = clock.attend(driver.run()) => {}
            refusal = shared.wait_for_refusal() => return Err(who.refused(refusal)),
        }
        match outcome.await {
            Ok(CloseResult::Closed) => Ok(SessionEnd::Closed),
            Ok(CloseResult::AlreadyGone) => Ok(SessionEnd::AlreadyGone),
            Ok(CloseResult::Unknown { .. }) | Err(_) => {
                Err(Error::Unreachable { within: timeout, tried: shared.attempts() })
            }
        }
    }
}
