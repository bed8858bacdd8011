//! Address of the other end of a connection.

use std::fmt;
use std::net::SocketAddr;

use crate::core::Peer;

/// Address of the other end of a connection; `None` if it is in this process.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Remote(pub(crate) Option<SocketAddr>);

impl Remote {
    /// Returns the peer for the core. A peer in this process has the loopback address.
    pub(crate) fn peer(self) -> Peer {
        self.0.map_or(Peer::LOCAL, |addr| Peer { ip: addr.ip().to_canonical(), port: addr.port() })
    }
}

impl fmt::Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(addr) => addr.fmt(f),
            None => f.write_str("this process"),
        }
    }
}
