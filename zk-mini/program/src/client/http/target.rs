//! Place of an HTTP server.

use hyper::Uri;
use zk_client::ConnectString;

use crate::client::error::ClientError;

/// Address of an HTTP server.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Target {
    /// Host and port, as for a connection, and for the header `Host`.
    pub(super) address: String,
    /// Path before `/v1`, without a slash at its end.
    pub(super) prefix: String,
}

impl Target {
    /// Returns that of a ZooKeeper port.
    pub(super) fn of_server(address: String) -> Self {
        Self { address, prefix: String::new() }
    }

    /// Parses `http://HOST[:PORT][/PREFIX]`.
    pub(super) fn of_url(url: &str) -> Result<Self, ClientError> {
        let bad = || ClientError::Url { url: url.to_owned() };
        let uri: Uri = url.parse().map_err(|_| bad())?;
        let authority = uri.authority().filter(|_| uri.scheme_str() == Some("http") && uri.query().is_none());
        let authority = authority.filter(|authority| !authority.as_str().contains('@')).ok_or_else(bad)?;
        let has_port = authority.as_str().len() > authority.host().len();
        let address = if has_port { authority.to_string() } else { format!("{authority}:80") };
        ConnectString::parse(&address).map_err(|_| bad())?;
        Ok(Self { address, prefix: uri.path().trim_end_matches('/').to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_has_a_host_and_may_have_a_port_and_a_prefix() {
        for (url, address, prefix) in [
            ("http://localhost:2181", "localhost:2181", ""),
            ("http://localhost:2181/", "localhost:2181", ""),
            ("http://[::1]:8080/zk/", "[::1]:8080", "/zk"),
            ("http://zk.test", "zk.test:80", ""),
        ] {
            let target = Target::of_url(url).unwrap();
            assert_eq!((target.address.as_str(), target.prefix.as_str()), (address, prefix), "{url}");
        }
    }

    #[test]
    fn a_bad_url_shows_the_right_form() {
        for url in
            ["", "localhost:2181", "https://localhost", "http://", "http://a:b", "http://me@a", "http://a?b"]
        {
            let error = Target::of_url(url).unwrap_err().to_string();
            assert!(error.contains("http://HOST:PORT"), "{url}: {error}");
        }
    }
}
