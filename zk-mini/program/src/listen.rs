//! Addresses to listen on, in the forms that people write.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::str::FromStr;

use tokio::net::lookup_host;

/// Failure to find the address of a name.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot find the address of {host:?}: {source}; use another name, or an address such as 127.0.0.1:2181"
)]
pub(crate) struct ResolveError {
    host: String,
    source: io::Error,
}

/// A host, a port, or both.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Listen {
    pub(crate) host: Host,
    pub(crate) port: Option<u16>,
}

/// The addresses to listen on.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) enum Host {
    /// 127.0.0.1, and ::1 if the machine has it.
    #[default]
    Loopback,
    /// All addresses of the machine.
    Every,
    Ip(IpAddr),
    Name(String),
}

/// Forms of an address, for the error message.
const EXPECTED: &str =
    "HOST:PORT, PORT, :PORT or *:PORT, such as 127.0.0.1:2181; an IPv6 address stands in brackets";

/// Parses a port.
pub(crate) fn port(text: &str) -> Result<u16, &'static str> {
    text.parse().map_err(|_| "a port, 0 to 65535")
}

impl FromStr for Listen {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(host) = text.parse()
            && !text.bytes().all(|byte| byte.is_ascii_digit())
        {
            return Ok(Self { host, port: None });
        }
        let (host, port) = text.rsplit_once(':').unwrap_or(("", text));
        let port = port.parse().map_err(|_| EXPECTED)?;
        // Without brackets it is ambiguous where an IPv6 address ends.
        if host.contains(':') && !host.starts_with('[') {
            return Err(EXPECTED);
        }
        let host = if host.is_empty() { Host::Loopback } else { host.parse()? };
        Ok(Self { host, port: Some(port) })
    }
}

impl FromStr for Host {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "*" {
            return Ok(Self::Every);
        }
        if text.eq_ignore_ascii_case("localhost") {
            return Ok(Self::Loopback);
        }
        let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
        if let Ok(ip) = bare.parse() {
            return Ok(Self::Ip(ip));
        }
        let is_name = |c: char| c.is_alphanumeric() || matches!(c, '-' | '.' | '_');
        if text.is_empty() || text.starts_with('-') || !text.chars().all(is_name) {
            return Err(EXPECTED);
        }
        Ok(Self::Name(text.into()))
    }
}

impl Host {
    /// Resolves to addresses; the first one is announced.
    pub(crate) async fn addrs(&self, port: u16) -> Result<Vec<SocketAddr>, ResolveError> {
        let both = |v4: Ipv4Addr, v6: Ipv6Addr| {
            let v6 = has_ip_v6().then_some(SocketAddr::from((v6, port)));
            std::iter::once(SocketAddr::from((v4, port))).chain(v6).collect()
        };
        Ok(match self {
            Self::Loopback => both(Ipv4Addr::LOCALHOST, Ipv6Addr::LOCALHOST),
            Self::Every => both(Ipv4Addr::UNSPECIFIED, Ipv6Addr::UNSPECIFIED),
            Self::Ip(ip) => vec![SocketAddr::from((*ip, port))],
            Self::Name(name) => vec![look_up(name, port).await?],
        })
    }
}

/// Returns the addresses with the port that the system has chosen for all of them, if none was given.
pub(crate) fn with_port(mut addrs: Vec<SocketAddr>, chosen: Option<SocketAddr>) -> Vec<SocketAddr> {
    if let Some(chosen) = chosen {
        addrs.iter_mut().filter(|addr| addr.port() == 0).for_each(|addr| addr.set_port(chosen.port()));
    }
    addrs
}

/// Returns false on a machine without IPv6.
fn has_ip_v6() -> bool {
    UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).is_ok()
}

/// Looks up a name; prefers an IPv4 address if it has several.
async fn look_up(name: &str, port: u16) -> Result<SocketAddr, ResolveError> {
    let found = match lookup_host((name, port)).await {
        Ok(addrs) => {
            let addrs: Vec<_> = addrs.collect();
            let chosen = addrs.iter().find(|addr| addr.is_ipv4()).or(addrs.first()).copied();
            chosen.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the name has no address"))
        }
        Err(error) => Err(error),
    };
    found.map_err(|source| ResolveError { host: name.into(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Option<(Host, Option<u16>)> {
        text.parse().ok().map(|Listen { host, port }| (host, port))
    }

    #[test]
    fn every_common_form_of_an_address_is_understood() {
        for text in ["2181", ":2181", "localhost:2181", "LOCALHOST:2181"] {
            assert_eq!(parsed(text), Some((Host::Loopback, Some(2181))), "{text}");
        }
        assert_eq!(parsed("*:2181"), Some((Host::Every, Some(2181))));
        assert_eq!(parsed("*"), Some((Host::Every, None)));
        for (text, ip, port) in [
            ("0.0.0.0:1", "0.0.0.0", Some(1)),
            ("10.1.2.3", "10.1.2.3", None),
            ("[::1]:0", "::1", Some(0)),
            ("[::]", "::", None),
            ("::1", "::1", None),
            ("2001:db8::2181", "2001:db8::2181", None),
        ] {
            assert_eq!(parsed(text), Some((Host::Ip(ip.parse().unwrap()), port)), "{text}");
        }
        assert_eq!(parsed("localhost"), Some((Host::Loopback, None)));
        assert_eq!(parsed("zk-1.example:2181"), Some((Host::Name("zk-1.example".into()), Some(2181))));
    }

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "",
            ":",
            "*:",
            "localhost:",
            "65536",
            "1:2:3",
            "::1:99999",
            "[::1",
            "a b:1",
            "127.0.0.1:-1",
            "127.0.0.1:port",
            "http://localhost:2181",
            "127.0.0.1:2181/chroot",
            "[*]:1",
            "-1",
        ] {
            assert_eq!(parsed(text), None, "{text}");
        }
    }
}
