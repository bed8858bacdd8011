//! Passwords of sessions. A password is a function of the session's id, so it need not be stored.

use std::fmt;

use sha1_smol::Sha1;
use zk_wire::SessionId;

/// Length of a password in bytes.
const LEN: usize = 16;

/// Key of a server's session passwords. With it one can take over every session.
#[derive(Clone, Eq, PartialEq)]
pub struct SessionSecret([u8; Self::LEN]);

impl SessionSecret {
    /// Length of a secret in bytes.
    pub const LEN: usize = 32;

    /// Creates a secret from bytes, which must not be predictable.
    #[must_use]
    pub fn new(bytes: [u8; Self::LEN]) -> Self {
        Self(bytes)
    }

    /// Creates a predictable secret, for repeatable runs.
    #[must_use]
    pub fn from_seed(seed: u64) -> Self {
        let mut bytes = [0; Self::LEN];
        bytes[..8].copy_from_slice(&seed.to_be_bytes());
        Self(bytes)
    }

    /// Returns the bytes, to be stored where only the server can read them.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }
}

/// Prints no bytes, so that they do not get into logs.
impl fmt::Debug for SessionSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionSecret")
    }
}

/// Returns the password of a session: a keyed hash of the id, or without a secret Apache ZooKeeper's function of it.
pub(crate) fn password(secret: Option<&SessionSecret>, id: SessionId) -> [u8; LEN] {
    match secret {
        Some(secret) => {
            let mac = hmac_sha1(&secret.0, &id.0.to_be_bytes());
            *mac.first_chunk().unwrap_or(&[0; LEN])
        }
        None => zookeeper_password(id),
    }
}

/// Returns a hash that nobody can compute without the secret.
pub(crate) fn keyed_hash(secret: &SessionSecret, message: &[u8]) -> [u8; 20] {
    hmac_sha1(&secret.0, message)
}

/// Compares a password in constant time.
pub(crate) fn is_password(expected: &[u8; LEN], given: &[u8]) -> bool {
    given.len() == LEN && expected.iter().zip(given).fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
}

/// HMAC of RFC 2104. The known attacks on SHA-1 find collisions, which do not help against a keyed hash.
fn hmac_sha1(key: &[u8; SessionSecret::LEN], message: &[u8]) -> [u8; 20] {
    const BLOCK: usize = 64;
    let pad = |byte: u8| {
        let mut block = [byte; BLOCK];
        block.iter_mut().zip(key).for_each(|(block, key)| *block ^= key);
        block
    };
    let hash = |pad: [u8; BLOCK], message: &[u8]| {
        let mut hash = Sha1::from(pad);
        hash.update(message);
        hash.digest().bytes()
    };
    hash(pad(0x5c), &hash(pad(0x36), message))
}

/// Returns Apache ZooKeeper's password (Java's `Random`, seeded with id and constant), so that sessions continue when
/// a data directory moves to another server. Anyone who knows the id can compute it.
fn zookeeper_password(id: SessionId) -> [u8; LEN] {
    const SECRET: i64 = 0xB341_5C00;
    const MULTIPLIER: u64 = 0x5_DEEC_E66D;
    const MASK: u64 = (1 << 48) - 1;
    let mut state = ((id.0 ^ SECRET).cast_unsigned() ^ MULTIPLIER) & MASK;
    let mut password = [0; LEN];
    for word in password.chunks_exact_mut(4) {
        state = state.wrapping_mul(MULTIPLIER).wrapping_add(0xB) & MASK;
        // The upper 32 of 48 bits, little-endian: Java's `nextBytes`.
        let [_, _, bytes @ .., _, _] = state.to_be_bytes();
        word.copy_from_slice(&[bytes[3], bytes[2], bytes[1], bytes[0]]);
    }
    password
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_secret_passwords_are_apache_zookeepers() {
        // Output of `java.util.Random`.
        for (id, expected) in [
            (0x0100_0000_0001_0000, 0x8544_e06b_2edc_3db9_6bdf_90f9_278b_afc1),
            (-1, 0x20f6_2cb5_648d_c2d7_7147_1c8a_2486_a9ee_u128),
        ] {
            assert_eq!(password(None, SessionId(id)), expected.to_be_bytes());
        }
    }

    #[test]
    fn the_keyed_hash_is_the_hmac_of_rfc_2202() {
        // Test cases of RFC 2202. The key is padded with zeros, as HMAC does with a short one.
        let padded = |key: &[u8]| {
            let mut bytes = [0; SessionSecret::LEN];
            bytes[..key.len()].copy_from_slice(key);
            bytes
        };
        for (key, message, expected) in [
            (&[0x0b; 20][..], &b"Hi There"[..], "b617318655057264e28bc0b6fb378c8ef146be00"),
            (b"Jefe", b"what do ya want for nothing?", "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"),
            (&[0xaa; 20], &[0xdd; 50], "125d7342b9ac11cd91a39af48aa17b4f63f175d3"),
        ] {
            let mac: String =
                hmac_sha1(&padded(key), message).iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(mac, expected);
        }
    }

    #[test]
    fn passwords_differ_by_session_and_by_secret() {
        let secrets = [1, 2].map(SessionSecret::from_seed);
        let ids = [0x0100_0000_0001_0000, 0x0100_0000_0001_0001].map(SessionId);
        let mut passwords: Vec<_> = ids
            .iter()
            .flat_map(|&id| [None, Some(&secrets[0]), Some(&secrets[1])].map(|secret| password(secret, id)))
            .collect();
        passwords.sort_unstable();
        passwords.dedup();
        assert_eq!(passwords.len(), 6);
        assert_eq!(password(Some(&secrets[0]), ids[0]), password(Some(&secrets[0].clone()), ids[0]));
    }

    #[test]
    fn only_the_whole_password_is_one() {
        let password = password(None, SessionId(7));
        assert!(is_password(&password, &password));
        for given in [&password[..15], &[&password[..], &[0]].concat(), &[], &[0; 16]] {
            assert!(!is_password(&password, given));
        }
    }

    #[test]
    fn a_secret_is_not_printed() {
        assert_eq!(format!("{:?}", SessionSecret::from_seed(7)), "SessionSecret");
    }
}
