//! The proof that a session is one's own, to be handed to another process.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;

use crate::error::Error;

/// What proves that a session is one's own: who has it can close the session, see [`close_session`]. The nodes of
/// all registrations made over one [`Registry`](crate::Registry) belong to its session.
#[derive(Clone, Eq, PartialEq)]
pub struct Credentials(zk_client::Credentials);

impl Credentials {
    pub(crate) fn new(credentials: zk_client::Credentials) -> Self {
        Self(credentials)
    }

    /// The session's id, as operators see it in ZooKeeper's logs and as `ephemeralOwner` of its nodes.
    #[must_use]
    pub fn session(&self) -> String {
        self.0.id.to_string()
    }

    /// As bytes, for a pipe or a file that nobody else can read.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        [&self.0.id.0.to_be_bytes(), &self.0.password[..]].concat().into()
    }

    /// Undoes [`Self::to_bytes`]; `None` for what it never made.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (id, password) = bytes.split_first_chunk::<8>()?;
        let id = zk_client::SessionId(i64::from_be_bytes(*id));
        Some(Self(zk_client::Credentials { id, password: Bytes::copy_from_slice(password) }))
    }
}

/// The password stays out of logs.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credentials({})", self.0.id)
    }
}

/// Closes the session of a process that died, so that its nodes go now and not after its timeout. Does nothing to
/// a session that is gone already. Its owner, if it lives, loses it and registers again in a new one.
///
/// # Errors
/// [`Error::Connect`] if no server confirmed it within `timeout`.
pub async fn close_session(servers: &str, credentials: &Credentials, timeout: Duration) -> Result<(), Error> {
    zk_client::close_session(servers, credentials.0.clone(), timeout)
        .await
        .map(|_| ())
        .map_err(Error::Connect)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_and_credentials_are_the_same_thing() {
        let password = Bytes::from_static(b"0123456789abcdef");
        let credentials = Credentials(zk_client::Credentials { id: zk_client::SessionId(-2), password });
        assert_eq!(Credentials::from_bytes(&credentials.to_bytes()), Some(credentials));
        assert_eq!(Credentials::from_bytes(b"1234567"), None);
    }

    #[test]
    fn the_password_is_not_printed() {
        let password = Bytes::from_static(b"secret");
        let credentials = Credentials(zk_client::Credentials { id: zk_client::SessionId(16), password });
        assert_eq!(format!("{credentials:?}"), "Credentials(0x10)");
    }
}
