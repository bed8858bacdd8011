//! The options of a connect string: `host:port/chroot?ca=FILE&certfile=FILE&keyfile=FILE&server_name=NAME`.

use std::path::PathBuf;
use std::sync::Arc;

use crate::connect::Connect;
use crate::error::Error;
use crate::servers::ServersError;

/// Files for TLS that a connect string names, in PEM.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct TlsFiles {
    /// `ca`: authorities that issue the certificates of servers.
    pub ca: PathBuf,
    /// `certfile` and `keyfile`: certificate and key of the client. Without `keyfile` the key stands in the file of the
    /// certificate.
    pub certificate: Option<(PathBuf, PathBuf)>,
    /// `server_name`: name that the certificates of servers must have, in place of the host of their entry.
    pub server_name: Option<String>,
}

impl TlsFiles {
    /// Parses what stands behind the question mark.
    pub(crate) fn parse(options: &str) -> Result<Self, ServersError> {
        let (mut ca, mut certfile, mut keyfile, mut server_name) = (None, None, None, None);
        for option in options.split('&') {
            let unknown = || ServersError::UnknownOption { option: option.to_owned() };
            let (name, value) = option.split_once('=').ok_or_else(unknown)?;
            if value.is_empty() {
                return Err(unknown());
            }
            match name {
                "ca" => ca = Some(PathBuf::from(value)),
                "certfile" => certfile = Some(PathBuf::from(value)),
                "keyfile" => keyfile = Some(PathBuf::from(value)),
                "server_name" => server_name = Some(value.to_owned()),
                _ => return Err(unknown()),
            }
        }
        let incomplete = |missing| ServersError::MissingOption { missing };
        let certificate = match (certfile, keyfile) {
            (None, None) => None,
            (None, Some(_)) => return Err(incomplete("certfile")),
            (Some(certfile), keyfile) => {
                let keyfile = keyfile.unwrap_or_else(|| certfile.clone());
                Some((certfile, keyfile))
            }
        };
        Ok(Self { ca: ca.ok_or_else(|| incomplete("ca"))?, certificate, server_name })
    }

    /// Speaks TLS over the connections of `below`.
    #[cfg(feature = "tls")]
    pub(crate) fn over(&self, below: Arc<dyn Connect>) -> Result<Arc<dyn Connect>, Error> {
        use crate::tls::{Tls, TlsConnect};
        use common::tls::{ClientTlsConfig, Pem};

        let mut config = ClientTlsConfig::new(Pem::file(&self.ca));
        if let Some((certificate, key)) = &self.certificate {
            config = config.certificate(Pem::file(certificate), Pem::file(key));
        }
        if let Some(name) = &self.server_name {
            config = config.server_name(name);
        }
        let tls: Tls = config.load().map_err(|error| Error::Tls { reason: error.to_string() })?;
        Ok(Arc::new(TlsConnect::over(below, tls)))
    }

    /// Refuses: there is no TLS in this build.
    #[cfg(not(feature = "tls"))]
    pub(crate) fn over(&self, _below: Arc<dyn Connect>) -> Result<Arc<dyn Connect>, Error> {
        let reason = "this program was built without the feature `tls` of zk-client".to_owned();
        Err(Error::Tls { reason })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_options_name_the_files() {
        let files = TlsFiles::parse("ca=/a/ca.pem&certfile=me.pem&keyfile=me.key&server_name=zk").unwrap();
        assert_eq!(files.ca, PathBuf::from("/a/ca.pem"));
        assert_eq!(files.certificate, Some(("me.pem".into(), "me.key".into())));
        assert_eq!(files.server_name.as_deref(), Some("zk"));
        let one = TlsFiles::parse("ca=ca.pem&certfile=both.pem").unwrap();
        assert_eq!(one.certificate, Some(("both.pem".into(), "both.pem".into())), "certificate and key");
    }

    #[test]
    fn each_mistake_in_the_options_has_its_error() {
        let err = |text: &str| TlsFiles::parse(text).unwrap_err().to_string();
        for text in ["", "ca", "ca=", "tls=true", "ca=a&", "CA=a", "ca=a&x=y"] {
            assert!(err(text).contains("the options are ca, certfile, keyfile and server_name"), "{text}");
        }
        assert!(err("certfile=a").contains("no ca"));
        assert!(err("ca=a&keyfile=b").contains("no certfile"));
    }
}
