//! Sources of certificates and keys.

use std::fmt;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use super::TlsError;
use super::jks::{self, Jks};

/// Certificates or a key in PEM: a file, which may change later, or a text; or a key store of Java's.
#[derive(Clone)]
pub struct Pem(Source);

#[derive(Clone)]
enum Source {
    File(PathBuf),
    Store { path: PathBuf, password: String },
    Text(Arc<[u8]>),
}

/// Contents of a source.
#[derive(Debug)]
pub(super) enum Contents {
    Pem(Arc<[u8]>),
    Store(Jks),
}

/// State of a source, which differs after a change of its file; `None` while it cannot be read.
pub(super) type Stamp = Option<(SystemTime, u64)>;

impl Pem {
    /// Names a file.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self(Source::File(path.into()))
    }

    /// Takes a text.
    pub fn text(text: impl AsRef<[u8]>) -> Self {
        Self(Source::Text(text.as_ref().into()))
    }

    /// Names a key store as Apache ZooKeeper has it: PEM, with a key and certificates in one file, or JKS, which its content tells.
    pub fn key_store(path: impl Into<PathBuf>, password: impl Into<String>) -> Self {
        Self(Source::Store { path: path.into(), password: password.into() })
    }

    pub(super) fn read(&self) -> Result<Contents, TlsError> {
        let (path, password) = match &self.0 {
            Source::Text(text) => return Ok(Contents::Pem(Arc::clone(text))),
            Source::File(path) => (path, None),
            Source::Store { path, password } => (path, Some(password)),
        };
        let pem = || self.to_string();
        let bytes = fs::read(path).map_err(|error| TlsError::Read { pem: pem(), error })?;
        match (key_store(&bytes), password) {
            (None, _) => Ok(Contents::Pem(bytes.into())),
            (Some("JKS"), Some(password)) => match Jks::open(&bytes, password) {
                Ok(store) => Ok(Contents::Store(store)),
                Err(reason) => Err(TlsError::Unusable { pem: pem(), reason: reason.to_owned() }),
            },
            (Some(kind), _) => {
                Err(TlsError::KeyStore { pem: pem(), kind, convert: kind_to_pem(kind, &pem()) })
            }
        }
    }

    pub(super) fn stamp(&self) -> Stamp {
        let (Source::File(path) | Source::Store { path, .. }) = &self.0 else { return None };
        let metadata = fs::metadata(path).ok()?;
        Some((metadata.modified().ok()?, metadata.len()))
    }
}

/// Returns the format of a key store, by its first bytes.
fn key_store(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [first @ .., _] if first.starts_with(&jks::MAGIC) => Some("JKS"),
        [0xce, 0xce, 0xce, 0xce, ..] => Some("JCEKS"),
        // A sequence in DER, whose first part is the number 3. Certificates in DER begin otherwise.
        [0x30, 0x82, _, _, 2, 1, 3, ..] | [0x30, 0x80, 2, 1, 3, ..] => Some("PKCS12"),
        _ => None,
    }
}

/// Returns the commands that make PEM of a key store: the key with its certificates, and the authorities alone.
fn kind_to_pem(kind: &str, file: &str) -> String {
    let (first, pkcs12) = match kind {
        "JKS" | "JCEKS" => (
            format!(
                "keytool -importkeystore -srckeystore {file} -destkeystore {file}.p12 -deststoretype PKCS12 && "
            ),
            format!("{file}.p12"),
        ),
        _ => (String::new(), file.to_owned()),
    };
    format!("{first}openssl pkcs12 -in {pkcs12} -nodes -out {file}.pem")
}

impl fmt::Display for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Source::File(path) | Source::Store { path, .. } => write!(f, "{}", path.display()),
            Source::Text(_) => f.write_str("the given text"),
        }
    }
}

impl fmt::Debug for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A text may be a key, and a password is one.
        fmt::Display::fmt(self, f)
    }
}
