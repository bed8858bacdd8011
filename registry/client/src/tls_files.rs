//! The options of a connect string: `host:port/chroot?ca=FILE&certfile=FILE&keyfile=FILE&server_name=NAME`.

use std::path::PathBuf;

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

/// Mistake in the options.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum BadOptions {
    Unknown(String),
    Missing(&'static str),
}

impl TlsFiles {
    /// Parses what stands behind the question mark.
    pub(crate) fn parse(options: &str) -> Result<Self, BadOptions> {
        let (mut ca, mut certfile, mut keyfile, mut server_name) = (None, None, None, None);
        for option in options.split('&') {
            let unknown = || BadOptions::Unknown(option.to_owned());
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
        let certificate = match (certfile, keyfile) {
            (None, None) => None,
            (None, Some(_)) => return Err(BadOptions::Missing("certfile")),
            (Some(certfile), keyfile) => {
                let keyfile = keyfile.unwrap_or_else(|| certfile.clone());
                Some((certfile, keyfile))
            }
        };
        Ok(Self { ca: ca.ok_or(BadOptions::Missing("ca"))?, certificate, server_name })
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
        let err = |text: &str| TlsFiles::parse(text).unwrap_err();
        for (text, option) in [
            ("", ""),
            ("ca", "ca"),
            ("ca=", "ca="),
            ("tls=true", "tls=true"),
            ("ca=a&", ""),
            ("CA=a", "CA=a"),
        ] {
            assert_eq!(err(text), BadOptions::Unknown(option.to_owned()), "{text}");
        }
        assert_eq!(err("certfile=a"), BadOptions::Missing("ca"));
        assert_eq!(err("ca=a&keyfile=b"), BadOptions::Missing("certfile"));
    }
}
