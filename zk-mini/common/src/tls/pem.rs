//! Sources of certificates and keys.

use std::fmt;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use super::TlsError;

/// Certificates or a key in PEM: a file, which may change later, or a text.
#[derive(Clone)]
pub struct Pem(Source);

#[derive(Clone)]
enum Source {
    File(PathBuf),
    Text(Arc<[u8]>),
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

    pub(super) fn read(&self) -> Result<Arc<[u8]>, TlsError> {
        match &self.0 {
            Source::Text(text) => Ok(Arc::clone(text)),
            Source::File(path) => match fs::read(path) {
                Ok(bytes) => match key_store(&bytes) {
                    None => Ok(bytes.into()),
                    Some(kind) => Err(TlsError::KeyStore {
                        pem: self.to_string(),
                        kind,
                        convert: kind_to_pem(kind, &self.to_string()),
                    }),
                },
                Err(error) => Err(TlsError::Read { pem: self.to_string(), error }),
            },
        }
    }

    pub(super) fn stamp(&self) -> Stamp {
        let Source::File(path) = &self.0 else { return None };
        let metadata = fs::metadata(path).ok()?;
        Some((metadata.modified().ok()?, metadata.len()))
    }
}

/// Returns the format of a key store, by its first bytes.
fn key_store(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [0xfe, 0xed, 0xfe, 0xed, ..] | [0xce, 0xce, 0xce, 0xce, ..] => Some("JKS"),
        // A sequence in DER, whose first part is the number 3. Certificates in DER begin otherwise.
        [0x30, 0x82, _, _, 2, 1, 3, ..] | [0x30, 0x80, 2, 1, 3, ..] => Some("PKCS12"),
        _ => None,
    }
}

/// Returns the commands that make PEM of a key store: the key with its certificates, and the authorities alone.
fn kind_to_pem(kind: &str, file: &str) -> String {
    let (first, pkcs12) = match kind {
        "JKS" => (
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
            Source::File(path) => write!(f, "{}", path.display()),
            Source::Text(_) => f.write_str("the given text"),
        }
    }
}

impl fmt::Debug for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A text may be a key.
        fmt::Display::fmt(self, f)
    }
}
