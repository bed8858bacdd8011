//! The name that a request calls the server by. A web page that lets its own name resolve to a loopback address (DNS
//! rebinding) still sends its own name.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Host and port of a `Host` header or a request target.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Host<'a> {
    /// An address, without its brackets.
    Address(IpAddr),
    /// A name, without the dot at its end.
    Name(&'a str),
}

impl<'a> Host<'a> {
    /// Reads `HOST` or `HOST:PORT`. The port is checked, and dropped: behind a tunnel it is another one.
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        if let Some(rest) = text.strip_prefix('[') {
            let (address, port) = rest.split_once(']')?;
            let is_port = port.is_empty() || port.strip_prefix(':').is_some_and(is_port);
            let address: Ipv6Addr = address.parse().ok()?;
            return is_port.then(|| Self::Address(IpAddr::V6(address).to_canonical()));
        }
        let (name, port) = text.split_once(':').unwrap_or((text, ""));
        let name = name.strip_suffix('.').unwrap_or(name);
        if !is_port(port) || !is_name(name) {
            return None;
        }
        let address = name.parse::<Ipv4Addr>();
        Some(address.map_or(Self::Name(name), |address| Self::Address(IpAddr::V4(address))))
    }

    /// Returns true for a name or address that only this machine can answer to.
    pub(super) fn is_loopback(self) -> bool {
        match self {
            Self::Address(address) => address.is_loopback(),
            Self::Name(name) => {
                let last = name.rsplit('.').next().unwrap_or(name);
                last.eq_ignore_ascii_case("localhost")
            }
        }
    }
}

fn is_port(text: &str) -> bool {
    text.len() <= 5 && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Returns true for the characters of names in DNS, and the underscore of container names.
fn is_name(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with('.')
        && !text.ends_with('.')
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_names_and_addresses_are_recognised_in_every_notation() {
        for text in [
            "localhost",
            "localhost:2181",
            "localhost:",
            "LocalHost:2181",
            "localhost.",
            "localhost.:2181",
            "zk.localhost",
            "127.0.0.1",
            "127.0.0.1.:80",
            "127.255.255.254:1",
            "[::1]",
            "[::1]:2181",
            "[0:0:0:0:0:0:0:1]:2181",
            "[::ffff:127.0.0.1]:2181",
            "[::FFFF:7f00:1]",
        ] {
            assert!(Host::parse(text).is_some_and(Host::is_loopback), "{text}");
        }
    }

    #[test]
    fn other_hosts_are_foreign() {
        for text in [
            "evil.example",
            "evil.example:2181",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "notlocalhost",
            "192.168.0.1",
            "0.0.0.0:2181",
            "[::]",
            "[::ffff:10.0.0.1]",
            "128.0.0.1",
            "2130706433",
            "127.1",
        ] {
            assert!(Host::parse(text).is_some_and(|host| !host.is_loopback()), "{text}");
        }
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for text in [
            "",
            ":2181",
            ".",
            ".localhost",
            "localhost..",
            "user@localhost",
            "localhost:port",
            "localhost:123456",
            "localhost:-1",
            "localhost:1:2",
            "::1",
            "[::1",
            "[::1]x",
            "[::1%lo]",
            "[127.0.0.1]",
            "local host",
            "localhost/",
            "localhost,evil.example",
            "locälhost",
        ] {
            assert_eq!(Host::parse(text), None, "{text}");
        }
    }
}
