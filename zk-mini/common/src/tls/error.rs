//! Faults of certificates and keys.

use std::io;

/// Certificate or key that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{pem} cannot be read: {error}")]
    Read {
        /// The source.
        pem: String,
        /// Reason.
        error: io::Error,
    },
    /// There is no certificate.
    #[error("{pem} has no certificate: a part that begins with -----BEGIN CERTIFICATE-----")]
    NoCertificate {
        /// The source.
        pem: String,
    },
    /// A store of Java's has no certificate of an authority.
    #[error("{pem} has no trusted certificate: an entry that keytool -importcert makes")]
    NoAuthority {
        /// The source.
        pem: String,
    },
    /// There is no private key.
    #[error("{pem} has no private key: a part that begins with -----BEGIN PRIVATE KEY----- or the like")]
    NoKey {
        /// The source.
        pem: String,
    },
    /// The private key needs a password.
    #[error("the private key in {pem} is encrypted; decrypt it: openssl pkey -in {pem} -out decrypted.key")]
    EncryptedKey {
        /// The source.
        pem: String,
    },
    /// The file is a key store, and not PEM.
    #[error("{pem} is a key store in {kind}, and not PEM; convert it: {convert}")]
    KeyStore {
        /// The source.
        pem: String,
        /// Format: JKS or PKCS12.
        kind: &'static str,
        /// Command lines.
        convert: String,
    },
    /// The certificate of this process has expired, or begins in the future.
    #[error("the certificate in {pem} is not valid now, only from {from} to {to}")]
    NotValidNow {
        /// The source.
        pem: String,
        /// Beginning of its time.
        from: String,
        /// End of its time.
        to: String,
        /// Beginning of its time, in seconds since 1970.
        begins: i64,
    },
    /// The parts are there and cannot be used.
    #[error("{pem} cannot be used: {reason}")]
    Unusable {
        /// The source, or sources.
        pem: String,
        /// Reason.
        reason: String,
    },
}
