//! Hashes of RFC 2831, section 2.1.2.1.

use std::borrow::Cow;

/// Number of requests with a nonce: one exchange a nonce.
pub(super) const NONCE_COUNT: &str = "00000001";

/// Quality of protection: authentication alone.
pub(super) const QOP: &str = "auth";

/// Values that both sides hash.
#[derive(Debug)]
pub(super) struct Exchange<'a> {
    pub(super) user: &'a str,
    pub(super) realm: &'a str,
    pub(super) nonce: &'a [u8],
    pub(super) cnonce: &'a [u8],
    pub(super) uri: &'a [u8],
    pub(super) authzid: Option<&'a [u8]>,
}

/// The side that proves the password.
#[derive(Clone, Copy, Debug)]
pub(super) enum Side {
    Client,
    Server,
}

impl Exchange<'_> {
    /// Returns the proof of one side, in hexadecimal digits.
    pub(super) fn proof(&self, password: &str, side: Side) -> String {
        let secret = md5::compute(
            [&*single_bytes(self.user), &*single_bytes(self.realm), &*single_bytes(password)].join(&b':'),
        );
        let mut a1 = [&secret.0[..], self.nonce, self.cnonce].join(&b':');
        if let Some(authzid) = self.authzid {
            a1.push(b':');
            a1.extend_from_slice(authzid);
        }
        let method: &[u8] = match side {
            Side::Client => b"AUTHENTICATE",
            Side::Server => b"",
        };
        let a2 = [method, self.uri].join(&b':');
        let (a1, a2) = (hex(&a1), hex(&a2));
        hex(&[a1.as_bytes(), self.nonce, NONCE_COUNT.as_bytes(), self.cnonce, QOP.as_bytes(), a2.as_bytes()]
            .join(&b':'))
    }
}

fn hex(bytes: &[u8]) -> String {
    format!("{:x}", md5::compute(bytes))
}

/// Returns a text in ISO 8859-1 if it has only such characters, otherwise in UTF-8, as the RFC wants it hashed.
fn single_bytes(text: &str) -> Cow<'_, [u8]> {
    if text.is_ascii() {
        return Cow::Borrowed(text.as_bytes());
    }
    let single: Option<Vec<u8>> = text.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect();
    single.map_or(Cow::Borrowed(text.as_bytes()), Cow::Owned)
}

/// Compares two proofs in constant time, as far as their lengths agree.
pub(super) fn is_equal(expected: &str, given: &[u8]) -> bool {
    let expected = expected.as_bytes();
    expected.len() == given.len()
        && expected.iter().zip(given).fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn western_texts_are_hashed_in_single_bytes_and_others_in_utf_8() {
        assert_eq!(&*single_bytes("bob"), b"bob");
        assert_eq!(&*single_bytes("é"), b"\xe9");
        assert_eq!(&*single_bytes("é字"), "é字".as_bytes());
    }

    #[test]
    fn only_the_whole_proof_is_equal() {
        assert!(is_equal("abc", b"abc"));
        assert!(!is_equal("abc", b"abd") && !is_equal("abc", b"ab") && !is_equal("abc", b"ABC"));
    }
}
