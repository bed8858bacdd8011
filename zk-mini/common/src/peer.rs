//! Identity of a remote host.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

/// Remote host, for limits per host: an IPv4 address, or a /64 network of IPv6, because one host has at least one and could
/// escape the limit by another of its addresses.
///
/// ```
/// use std::net::IpAddr;
///
/// use zk_mini_common::PeerKey;
///
/// # fn main() -> Result<(), std::net::AddrParseError> {
/// let key = |text: &str| text.parse::<IpAddr>().map(PeerKey::new);
/// assert_eq!(key("2001:db8::1")?, key("2001:db8::ffff:9")?);
/// assert_eq!(key("2001:db8::1")?.to_string(), "2001:db8::/64");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct PeerKey(IpAddr);

impl PeerKey {
    /// Returns the host of an address. An IPv4 address in the form of IPv6 is the IPv4 address.
    #[must_use]
    pub fn new(addr: IpAddr) -> Self {
        Self(match addr.to_canonical() {
            // The loopback address is no part of a network.
            IpAddr::V6(addr) if !addr.is_loopback() => Ipv6Addr::from_bits(addr.to_bits() >> 64 << 64).into(),
            addr => addr,
        })
    }
}

impl fmt::Display for PeerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            IpAddr::V6(addr) if !addr.is_loopback() => write!(f, "{addr}/64"),
            addr => addr.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> PeerKey {
        PeerKey::new(text.parse().unwrap())
    }

    #[test]
    fn addresses_of_one_host_are_one_peer() {
        assert_eq!(key("::ffff:10.0.0.1"), key("10.0.0.1"));
        assert_eq!(key("2001:db8:1:2::1"), key("2001:db8:1:2:ffff::9"));
        assert_ne!(key("2001:db8:1:2::1"), key("2001:db8:1:3::1"));
        assert_ne!(key("10.0.0.1"), key("10.0.0.2"));
        assert_ne!(key("::1"), key("::2"));
    }

    #[test]
    fn a_network_is_shown_as_one_and_an_address_as_one() {
        let shown =
            ["10.0.0.1", "::ffff:10.0.0.1", "::1", "2001:db8:1:2::9"].map(|text| key(text).to_string());
        assert_eq!(shown, ["10.0.0.1", "10.0.0.1", "::1", "2001:db8:1:2::/64"]);
    }
}
