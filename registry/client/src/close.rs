//! Closes the session of another process.

use std::sync::Arc;
use std::time::Duration;

use common::{Clock, Millis};
use tokio::sync::oneshot;

use crate::chroot::Chroot;
use crate::command::Command;
use crate::connect::{Connect, TcpConnect};
use crate::driver::Driver;
use crate::error::Error;
use crate::secured::secured;
use crate::servers::ConnectString;
use crate::session::{self, CloseResult};
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
/// session's owner is alive, it loses the session.
///
/// # Errors
/// [`Error::Servers`] if `servers` is invalid; [`Error::Tls`] if its files for TLS cannot be used; [`Error::Unreachable`] if no server confirmed it within `timeout`.
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
    close_session_via(TcpConnect, servers, credentials, timeout).await
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
    let list = ConnectString::parse(servers)?;
    let (connector, servers) = (secured(Arc::new(connector), list.tls.as_ref())?, list.servers);
    let config = session::SessionConfig {
        servers: servers.len(),
        session_timeout: Millis::from(timeout),
        connect_timeout: Millis::from(timeout),
        read_only: false,
        answer_timeout: None,
        max_pending: 1,
        identities: Vec::new(),
        sasl: None,
        seed: fastrand::u64(..),
        attach: Some(credentials),
    };
    let (driver, commands, shared) =
        Driver::new(config, servers, connector, Chroot::default(), Clock::start());
    let (done, outcome) = oneshot::channel();
    // The driver holds the other end.
    let _ = commands.send(Command::Close { within: timeout, done });
    driver.run().await;
    match outcome.await {
        Ok(CloseResult::Closed) => Ok(SessionEnd::Closed),
        Ok(CloseResult::AlreadyGone) => Ok(SessionEnd::AlreadyGone),
        Ok(CloseResult::Unknown { .. }) | Err(_) => {
            Err(Error::Unreachable { within: timeout, tried: shared.attempts() })
        }
    }
}
