//! Seeds of jitter.

use std::hash::{DefaultHasher, Hash, Hasher};

/// Returns the seed of a server with this identity: another one in each process, and the same one again where a test has chosen
/// the identity. The process id would not do, because it is 1 in most containers.
pub(crate) fn seed_of(identity: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    identity.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};
    use std::sync::Arc;

    use common::Millis;

    use super::*;
    use crate::limits::Limits;
    use crate::peers::Peers;

    #[test]
    fn the_first_connections_of_two_servers_do_by_chance_different_things() {
        let first = |identity: &str| {
            let peers = Arc::new(Peers::new(&Limits::default(), 1_024).with_seed(seed_of(identity)));
            peers.seat(IpAddr::V4(Ipv4Addr::LOCALHOST), Millis(0)).unwrap().chance()
        };
        assert_eq!(first("1-5f"), first("1-5f"));
        assert_ne!(first("1-5f"), first("1-60"));
    }
}
