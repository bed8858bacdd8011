//! The `digest` scheme: an id is a user's name and a hash of name and password.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha1_smol::Sha1;

/// Returns the id of the credentials `name:password`: `name:base64(sha1(credentials))`. SHA-1 is broken for
/// signatures, but ZooKeeper's digests use it.
pub(crate) fn digest_id(credentials: &[u8]) -> String {
    let text = String::from_utf8_lossy(credentials);
    let name = text.split(':').next().unwrap_or_default();
    format!("{name}:{}", STANDARD.encode(Sha1::from(&*text).digest().bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digest_ids_are_apache_zookeepers() {
        // Examples of ZooKeeper's documentation.
        assert_eq!(digest_id(b"user:pass"), "user:smGaoVKd/cQkjm7b88GyorAUz20=");
        assert_eq!(digest_id(b"super:test"), "super:D/InIHSb7yEEbrWz8b9l71RjZJU=");
    }
}
