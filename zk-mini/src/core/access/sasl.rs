//! The `sasl` scheme: users with passwords, and the exchange in which a connection proves one. The mechanism is DIGEST-MD5.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use common::digest_md5::{DIGEST_URI, REALM, Refusal, Server};

use crate::core::access::password::{SessionSecret, keyed_hash};

/// Name of the scheme.
pub(crate) const SCHEME: &str = "sasl";

/// Number of random bytes in a nonce, as in Java.
const NONCE: usize = 30;

/// Users who can authenticate with SASL, and their passwords.
///
/// ```
/// use zk_mini::core::SaslUsers;
///
/// let users = SaslUsers::from_iter([("bob", "secret")]);
/// assert_eq!(format!("{users:?}"), r#"{"bob"}"#); // no passwords
/// ```
#[derive(Clone, Default, Eq, PartialEq)]
pub struct SaslUsers(BTreeMap<String, String>);

impl SaslUsers {
    /// Adds a user, or replaces the password of one.
    pub fn insert(&mut self, name: impl Into<String>, password: impl Into<String>) {
        self.0.insert(name.into(), password.into());
    }

    /// Returns the names of the users, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    fn password(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
}

impl Extend<(String, String)> for SaslUsers {
    fn extend<T: IntoIterator<Item = (String, String)>>(&mut self, users: T) {
        self.0.extend(users);
    }
}

impl IntoIterator for SaslUsers {
    type Item = (String, String);
    type IntoIter = std::collections::btree_map::IntoIter<String, String>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<N: Into<String>, P: Into<String>> FromIterator<(N, P)> for SaslUsers {
    fn from_iter<T: IntoIterator<Item = (N, P)>>(users: T) -> Self {
        Self(users.into_iter().map(|(name, password)| (name.into(), password.into())).collect())
    }
}

/// Prints the names only, so that no password gets into logs.
impl fmt::Debug for SaslUsers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.names()).finish()
    }
}

/// State of the exchange of a connection. Each connection has one: after it, a further token is refused.
#[derive(Debug, Default)]
pub(crate) enum SaslExchange {
    #[default]
    NotBegun,
    /// The challenge with this nonce was sent.
    Challenged(String),
    Over,
}

/// Result of a client's token.
#[derive(Debug)]
pub(crate) enum SaslStep {
    Challenge(Vec<u8>),
    /// The user is proved; the token is the last one.
    Verified(String, Vec<u8>),
}

impl SaslExchange {
    /// Takes a token of the client.
    pub(crate) fn step(
        &mut self,
        token: &[u8],
        users: &SaslUsers,
        new_nonce: impl FnOnce() -> String,
    ) -> Result<SaslStep, SaslRefusal> {
        let server = |nonce| Server { realm: REALM, uri: DIGEST_URI, nonce };
        match std::mem::replace(self, Self::Over) {
            Self::NotBegun if token.is_empty() => {
                let nonce = new_nonce();
                let challenge = server(&nonce).challenge();
                *self = Self::Challenged(nonce);
                Ok(SaslStep::Challenge(challenge))
            }
            Self::NotBegun => {
                // In Java the exchange still can begin.
                *self = Self::NotBegun;
                Err(SaslRefusal::OutOfPlace)
            }
            Self::Challenged(nonce) => {
                let verified = server(&nonce).verify(token, |name| users.password(name))?;
                Ok(SaslStep::Verified(verified.user, verified.reply))
            }
            Self::Over => Err(SaslRefusal::OutOfPlace),
        }
    }
}

/// Reason why a client is not authenticated by SASL.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SaslRefusal {
    /// Its answer to the challenge proves nothing.
    Answer(Refusal),
    /// A token before the challenge, or after the end of the exchange.
    OutOfPlace,
    /// The connection has as many identities as allowed.
    TooManyIdentities,
}

impl From<Refusal> for SaslRefusal {
    fn from(refusal: Refusal) -> Self {
        Self::Answer(refusal)
    }
}

impl fmt::Display for SaslRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answer(refusal) => refusal.fmt(f),
            Self::OutOfPlace => f.write_str("the token is not part of an exchange"),
            Self::TooManyIdentities => f.write_str("the connection has too many identities"),
        }
    }
}

/// Returns the nonce of the connection with this number: nobody who does not know the secret can tell it.
pub(crate) fn nonce(secret: &SessionSecret, conn: u64) -> String {
    let part = |part: u8| keyed_hash(secret, &[b"sasl", &conn.to_be_bytes()[..], &[part]].concat());
    let bytes = [part(0), part(1)].concat();
    STANDARD.encode(&bytes[..NONCE])
}

/// Returns `true` if an id can stand in an ACL: Apache ZooKeeper takes what can be a Kerberos name, `service/host@REALM`,
/// of which only the first part is needed.
pub(crate) fn is_valid_id(id: &str) -> bool {
    match id.split_once('@') {
        None => true,
        Some((name, realm)) => !realm.contains(['/', '@']) && name.matches('/').count() <= 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_what_can_be_a_kerberos_name() {
        for id in ["bob", "", "a/b", "a/b/c", "bob@REALM", "bob/host@REALM", "@", "/@"] {
            assert!(is_valid_id(id), "{id}");
        }
        for id in ["a/b/c@R", "a@b@c", "a@b/c"] {
            assert!(!is_valid_id(id), "{id}");
        }
    }

    #[test]
    fn each_connection_has_a_nonce_of_its_own() {
        let (one, two) = (SessionSecret::from_seed(1), SessionSecret::from_seed(2));
        let mut nonces = vec![nonce(&one, 1), nonce(&one, 2), nonce(&two, 1)];
        assert!(nonces.iter().all(|nonce| nonce.len() == 40));
        assert_eq!(nonce(&one, 1), nonces[0]);
        nonces.sort_unstable();
        nonces.dedup();
        assert_eq!(nonces.len(), 3);
    }
}
