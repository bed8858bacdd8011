//! Addresses of a server, and connections to it without a socket.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::io::DuplexStream;

use crate::handle::Handle;
use crate::shell::connector::{self, Connector};

impl Handle {
    /// Returns the first address that the server listens on; `None` if it is in memory only.
    #[must_use]
    pub fn addr(&self) -> Option<SocketAddr> {
        self.firsts().0
    }

    /// Returns the first address that the server listens on for TLS only; `None` if there is none.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn tls_addr(&self) -> Option<SocketAddr> {
        self.firsts().1
    }

    /// Returns the first address, and the first one for TLS only, of the server that it shows.
    fn firsts(&self) -> (Option<SocketAddr>, Option<SocketAddr>) {
        let setup = &self.engine.setup;
        match (&setup.listener, self.server) {
            (Some(listener), Some(server)) => listener.firsts_of(server),
            _ => (setup.configuration.listens, setup.configuration.listens_tls),
        }
    }

    /// Returns the connect string for clients: `127.0.0.1:PORT`, in an ensemble one for each server, with commas. A server that listens on every address gives its
    /// loopback address; a server in memory gives a name that does not resolve, for clients that need a name
    /// beside their [`Connector`].
    #[must_use]
    pub fn connect_string(&self) -> String {
        match self.engine.look(|state| state.core.server_count()) {
            0 => self.name_of(0),
            count => (0..count).map(|server| self.name_of(server)).collect::<Vec<_>>().join(","),
        }
    }

    /// Returns the entry for a connect string of one address.
    pub(crate) fn name_of(&self, server: usize) -> String {
        let listener = self.engine.setup.listener.as_ref();
        let Some(mut addr) = listener.and_then(|listener| listener.addr_of(server)) else {
            return "in-memory:2181".into();
        };
        match addr.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => addr.set_ip(Ipv4Addr::LOCALHOST.into()),
            IpAddr::V6(ip) if ip.is_unspecified() => addr.set_ip(Ipv6Addr::LOCALHOST.into()),
            _ => {}
        }
        addr.to_string()
    }

    /// Opens a connection without a socket; see [`Connector::connect`]. A server that listens accepts it, too.
    #[must_use]
    pub fn connect(&self) -> DuplexStream {
        // Refused only by a server that is stopped or down; the caller then gets a closed stream.
        connector::connect(&self.engine, None).unwrap_or_else(|| tokio::io::duplex(1).0)
    }

    /// Returns a handle that opens connections without a socket. It may outlive the server.
    #[must_use]
    pub fn connector(&self) -> Connector {
        Connector::new(&self.engine, None)
    }
}
