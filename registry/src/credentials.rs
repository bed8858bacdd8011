//! Proof of ownership of a session, to be handed to another process.

use std::fmt;

use bytes::Bytes;
use zk_client::SessionId;

/// Proof of ownership of a session: its holder can close the session, see [`close_session`](crate::close_session). All registrations over one
/// [`Registry`](crate::Registry) and its clones belong to one session.
#[derive(Clone, Eq, PartialEq)]
pub struct Credentials(zk_client::Credentials);

impl Credentials {
    pub(crate) fn new(credentials: zk_client::Credentials) -> Self {
        Self(credentials)
    }

    pub(crate) fn to_client(&self) -> zk_client::Credentials {
        self.0.clone()
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
