//! Connections in the same process, without a socket.

use std::io;
use std::sync::{Arc, Weak};

use tokio::io::DuplexStream;

use crate::shell::came::Came;
use crate::shell::connection;
use crate::shell::engine::Engine;

/// Number of bytes on their way in each direction before the writer waits.
const PIPE_BYTES: usize = 64 * 1024;

/// Opens in-memory connections to a server. It is a cheap handle: clone it and keep it as you like. It does not keep
/// the server running.
#[derive(Clone, Debug)]
pub struct Connector {
    engine: Weak<Engine>,
    /// Server of an ensemble; `None` for each in its turn.
    server: Option<usize>,
}

impl Connector {
    pub(crate) fn new(engine: &Arc<Engine>, server: Option<usize>) -> Self {
        Self { engine: Arc::downgrade(engine), server }
    }

    /// Opens a connection. The server treats it like one over TCP from 127.0.0.1, except that `maxClientCnxns` does
    /// not count it. Dropping the stream closes it. In an ensemble each goes to the next server that runs, unless this is
    /// the connector of [one server](crate::Server::connector).
    ///
    /// # Errors
    /// [`io::ErrorKind::ConnectionRefused`] once the server has been stopped or dropped, and while it is down.
    pub fn connect(&self) -> io::Result<DuplexStream> {
        let refused = || {
            io::Error::new(
                io::ErrorKind::ConnectionRefused,
                "the zk-mini server has been stopped, or is down",
            )
        };
        connect(&self.engine.upgrade().ok_or_else(refused)?, self.server).ok_or_else(refused)
    }
}

/// Opens a connection; `None` if the server has been stopped, or is down. In an ensemble it goes to `server`, or to each in its
/// turn.
pub(crate) fn connect(engine: &Arc<Engine>, server: Option<usize>) -> Option<DuplexStream> {
    let guard = engine.admit(None, server.map_or(Came::Anywhere, Came::ToServer)).ok()?;
    let (client, server) = tokio::io::duplex(PIPE_BYTES);
    connection::spawn(server, guard);
    Some(client)
}
