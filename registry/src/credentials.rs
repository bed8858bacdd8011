//! Proof of ownership of a session, to be handed to another process.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use zk_client::{Connect, SessionId, TcpConnect};

use crate::error::Error;

/// Proof of ownership of a session: its holder can close the session, see [`close_session`]. All registrations over one
/// [`Registry`](crate::Registry) and its clones belong to one session.
#[derive(Clone, Eq, PartialEq)]
pub struct Credentials(zk_client::Credentials);

impl Credentials {
    pub(crate) fn new(credentials: zk_client::Credentials) -> Self {
        Self(credentials)
    }

    /// Returns the session's id as ZooKeeper prints it in logs and in `ephemeralOwner` of nodes.
    #[must_use]
    pub fn session_id(&self) -> String {
        self.0.id.to_string()
    }

    /// Returns the credentials as bytes, for a pipe or a file that only their owner can read.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        [&self.0.id.0.to_be_bytes(), &self.0.password[..]].concat().into()
    }

    /// Reads what [`Self::to_bytes`] returned; `None` for other bytes.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (id, password) = bytes.split_first_chunk::<8>()?;
        let id = SessionId(i64::from_be_bytes(*id));
        Some(Self(zk_client::Credentials { id, password: Bytes::copy_from_slice(password) }))
    }
}

/// Leaves out the password, which has no place in logs.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credentials({})", self.0.id)
    }
}

/// Closes the session of a process that has died, so that its instances go at once and not after the session timeout.
/// Succeeds if the session is gone already. A process that is alive after all registers again in a new session.
///
/// # Errors
/// [`Error::Connect`] if no server confirmed it within `timeout`.
pub async fn close_session(servers: &str, credentials: &Credentials, timeout: Duration) -> Result<(), Error> {
    close_session_via(TcpConnect, servers, credentials, timeout).await
}

/// Closes a session as [`close_session`] does, over connections of another kind than TCP; see
/// [`Builder::via`](crate::Builder::via).
///
/// # Errors
/// [`Error::Connect`] if no server confirmed it within `timeout`.
pub async fn close_session_via(
    connector: impl Connect,
    servers: &str,
    credentials: &Credentials,
    timeout: Duration,
) -> Result<(), Error> {
    zk_client::close_session_via(connector, servers, credentials.0.clone(), timeout)
        .await
        .map(|_| ())
        .map_err(Error::Connect)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_and_back_are_the_same_credentials() {
        let password = Bytes::from_static(b"0123456789abcdef");
        let credentials = Credentials(zk_client::Credentials { id: SessionId(-2), password });
        assert_eq!(Credentials::from_bytes(&credentials.to_bytes()), Some(credentials));
        assert_eq!(Credentials::from_bytes(b"1234567"), None);
    }

    #[test]
    fn the_password_is_not_printed() {
        let password = Bytes::from_static(b"secret");
        let credentials = Credentials(zk_client::Credentials { id: SessionId(16), password });
        assert_eq!(format!("{credentials:?}"), "Credentials(0x10)");
    }
}
