//! Connections without sockets: for tests of a whole service in one process.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use tokio::io::{DuplexStream, duplex};
use tokio::sync::{mpsc, oneshot};

use crate::acceptor::Accept;
use crate::listener::refuse;

/// Room for bytes that one side has written and the other has not read yet.
const ROOM: usize = 64 << 10;

/// Makes the two ends of a server without a socket: connections opened by the first are accepted by the second, which goes to
/// [`Server::serve_in_memory`](crate::Server::serve_in_memory). [`Server::in_memory`](crate::Server::in_memory) is both in one.
///
/// ```
/// use rpc_client::Client;
/// use rpc_server::{Context, Server, Service, Status};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let echo = |text: String, _: Context| async move { Ok::<_, Status>(text) };
/// let service = Service::builder("echo").method("echo", echo).build();
/// let (connector, listener) = rpc_server::in_memory();
/// tokio::spawn(Server::new(service).serve_in_memory(listener, std::future::pending()));
///
/// let client = Client::in_memory("echo", move || connector.connect()).connect().await?;
/// let echoed: String = client.call("echo", "hello").await?;
/// assert_eq!(echoed, "hello");
/// # Ok(())
/// # }
/// ```
#[must_use]
pub fn in_memory() -> (MemoryConnector, MemoryListener) {
    let (sender, waiting) = mpsc::unbounded_channel();
    let next_port = Arc::new(AtomicU16::new(1));
    (MemoryConnector { waiting: sender, next_port, alive: None }, MemoryListener { waiting })
}

/// Opens connections to a [`MemoryListener`]. Clones reach the same one.
#[derive(Clone, Debug)]
pub struct MemoryConnector {
    waiting: mpsc::UnboundedSender<(DuplexStream, SocketAddr)>,
    next_port: Arc<AtomicU16>,
    /// Stops the server when the last clone is dropped.
    alive: Option<Arc<oneshot::Sender<()>>>,
}

impl MemoryConnector {
    /// Makes the server live as long as the connector. Returns the end of that life.
    pub(crate) fn keep_alive(&mut self) -> oneshot::Receiver<()> {
        let (alive, gone) = oneshot::channel();
        self.alive = Some(Arc::new(alive));
        gone
    }

    /// Opens a connection. The server sees it from a port of its own at 127.0.0.1.
    ///
    /// # Errors
    /// `ConnectionRefused` if the server has stopped.
    pub fn connect(&self) -> io::Result<DuplexStream> {
        let (ours, theirs) = duplex(ROOM);
        // Relaxed: only the number itself matters.
        let port = self.next_port.fetch_add(1, Ordering::Relaxed);
        let opened = self.waiting.send((theirs, SocketAddr::from((Ipv4Addr::LOCALHOST, port))));
        opened.map(|()| ours).map_err(|_| io::ErrorKind::ConnectionRefused.into())
    }
}

/// Accepts the connections of a [`MemoryConnector`].
#[derive(Debug)]
pub struct MemoryListener {
    waiting: mpsc::UnboundedReceiver<(DuplexStream, SocketAddr)>,
}

impl Accept for MemoryListener {
    type Stream = DuplexStream;

    async fn accept(&mut self, _reluctant: bool) -> io::Result<(DuplexStream, SocketAddr)> {
        match self.waiting.recv().await {
            Some(accepted) => Ok(accepted),
            // No connector is left: nobody will come.
            None => std::future::pending().await,
        }
    }

    fn turn_away(&mut self, refusal: &[u8]) -> Option<SocketAddr> {
        let (stream, peer) = self.waiting.try_recv().ok()?;
        Self::refuse(stream, refusal);
        Some(peer)
    }

    fn refuse(stream: DuplexStream, refusal: &[u8]) {
        // A new stream has room for a frame.
        refuse(stream, refusal);
    }
}
