//! Keys of a `zoo.cfg` for the servers of an ensemble, `server.N`: their addresses among each other.

use std::collections::BTreeMap;

use zk_mini::{Builder, QuorumAddr};

/// Addresses that a `zoo.cfg` gives to the servers of an ensemble.
#[derive(Debug, Default)]
pub(crate) struct ServerKeys {
    /// Number of servers.
    servers: usize,
    addrs: BTreeMap<usize, QuorumAddr>,
}

impl ServerKeys {
    pub(crate) fn of(servers: usize) -> Self {
        Self { servers, addrs: BTreeMap::new() }
    }

    /// Sets an entry. Returns false for a key of no server that there is, and for all of a single one; the error names the
    /// expected value.
    pub(crate) fn set(&mut self, key: &str, value: &str) -> Result<bool, &'static str> {
        let number = key.strip_prefix("server.").and_then(|number| number.parse().ok());
        let Some(number) = number.filter(|number| self.servers > 1 && (1..=self.servers).contains(number))
        else {
            return Ok(false);
        };
        self.addrs.insert(number, value.parse().map_err(|_| "host:port:port, as in zk1:2888:3888")?);
        Ok(true)
    }

    pub(crate) fn apply(self, builder: Builder) -> Builder {
        self.addrs.into_iter().fold(builder, |builder, (number, addr)| builder.quorum_addr(number, addr))
    }
}
