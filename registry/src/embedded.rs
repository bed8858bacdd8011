//! A registry whose server, zk-mini, runs in this process.

use std::fmt;
use std::sync::Arc;

use zk_client::{Connect, Connecting, Stream};
use zk_mini::{Connector, ZkMini};

use crate::error::Error;
use crate::registry::Registry;

impl Registry {
    /// Starts a server in this process, with its data in memory, and connects to it: for tests, and for a program that is
    /// its own registry. The server stops when the last clone of the registry is dropped, and the last registration and
    /// subscription that it has made.
    ///
    /// # Errors
    /// [`Error::Embedded`] if the server does not start; [`Error::Connect`].
    pub async fn embedded() -> Result<Self, Error> {
        let started = ZkMini::builder().in_memory().start().await;
        let server = Arc::new(started.map_err(|error| Error::Embedded(error.to_string()))?);
        let builder = Self::builder().via(InMemory::keeping(&server)).clock(server.clock());
        Ok(builder.connect().await?.with_server(server))
    }

    /// Returns the server that [`Self::embedded`] started; `None` for any other registry.
    #[must_use]
    pub fn server(&self) -> Option<&ZkMini> {
        self.embedded_server()
    }
}

/// Opens connections to a server in the same process.
pub(crate) struct InMemory {
    connector: Connector,
    _server: Option<Server>,
}

impl InMemory {
    pub(crate) fn new(server: &ZkMini) -> Self {
        Self { connector: server.connector(), _server: None }
    }

    /// Opens connections to a server that lives as long as the client does.
    fn keeping(server: &Server) -> Self {
        Self { connector: server.connector(), _server: Some(Arc::clone(server)) }
    }
}

impl Connect for InMemory {
    fn connect<'a>(&'a self, _server: &'a str, _address: &'a str) -> Connecting<'a> {
        Box::pin(async { Ok(Box::new(self.connector.connect()?) as Box<dyn Stream>) })
    }
}

impl fmt::Debug for InMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InMemory")
    }
}

/// Server that every clone of a registry keeps, and its client.
pub(crate) type Server = Arc<ZkMini>;
