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
                Ok(bytes) => Ok(bytes.into()),
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
