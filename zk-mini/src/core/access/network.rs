//! Networks: ids of the `ip` scheme.

use ::core::net::IpAddr;

use crate::core::access::address;

/// Address and the number of its leading bits that count.
pub(crate) struct Network {
    pub(crate) address: IpAddr,
    pub(crate) bits: u32,
}

impl Network {
    /// Reads `address` or `address/bits`.
    pub(crate) fn parse(text: &str, v6: bool) -> Option<Self> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(address::parse_int(bits, 10)?)),
            None => (text, None),
        };
        let address = address::parse(address, v6)?;
        // Without a number all bits count.
        let all = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Some(all), |bits| u32::try_from(bits).ok().filter(|&bits| bits <= all))?;
        Some(Self { address, bits })
    }

    /// Returns `true` if an address belongs to the network.
    pub(crate) fn holds(&self, peer: IpAddr) -> bool {
        let same_prefix =
            |a: u128, b: u128, width: u32| self.bits == 0 || (a ^ b) >> (width - self.bits) == 0;
        match (self.address, peer) {
            (IpAddr::V4(own), IpAddr::V4(peer)) => {
                same_prefix(own.to_bits().into(), peer.to_bits().into(), 32)
            }
            (IpAddr::V6(own), IpAddr::V6(peer)) => same_prefix(own.to_bits(), peer.to_bits(), 128),
            _ => false,
        }
    }
}
