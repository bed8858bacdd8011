//! Accepting connections over TCP.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};

use crate::connection;
use crate::door::Door;
use crate::engine::{Engine, Refused};

/// How long to wait after a failed accept: mostly there are too many open files, and that takes time to change.
const PAUSE: Duration = Duration::from_millis(100);

/// A listening socket that can be closed at once, while its task waits.
#[derive(Debug)]
pub(crate) struct Listener {
    socket: Mutex<Option<TcpListener>>,
    pub(crate) addr: SocketAddr,
    door: Door,
}

impl Listener {
    pub(crate) async fn bind(addr: SocketAddr) -> io::Result<Self> {
        let socket = TcpListener::bind(addr).await?;
        let addr = socket.local_addr()?;
        Ok(Self { socket: Mutex::new(Some(socket)), addr, door: Door::default() })
    }

    /// Closes the socket: the port is free when this returns.
    pub(crate) fn close(&self) {
        self.socket.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.door.close();
    }

    /// Serves everyone who connects. Ends when the socket has been closed, at the latest when it is aborted.
    pub(crate) async fn accept(self: Arc<Self>, engine: Arc<Engine>) {
        engine.add_door(&self.door);
        while let Some(accepted) = poll_fn(|cx| self.poll_accept(cx)).await {
            match accepted {
                Ok((stream, remote)) => take(stream, remote, &engine),
                // The peer was gone before it was accepted.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    tracing::warn!(%error, addr = %self.addr, "cannot accept; trying again");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<Option<io::Result<(TcpStream, SocketAddr)>>> {
        match &*self.socket.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(socket) => {
                self.door.accept(cx.waker(), || socket.poll_accept(cx).map(Some), Poll::is_pending)
            }
            None => Poll::Ready(None),
        }
    }
}

/// Serves one connection, or closes it without a word as ZooKeeper does when its address has too many.
fn take(stream: TcpStream, remote: SocketAddr, engine: &Arc<Engine>) {
    // Without it a reply waits for the acknowledgement of the one before.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, %remote, "cannot set TCP_NODELAY");
    }
    match engine.admit(Some(remote)) {
        Ok(seat) => {
            tracing::debug!(%remote, conn = seat.id.0, "connected");
            engine.runtime.spawn(connection::serve(stream, seat));
        }
        Err(Refused::TooMany) => {
            let max = engine.limits.max_client_connections;
            tracing::warn!(%remote, ?max, "refused: its address has as many connections as it may");
        }
        Err(Refused::Stopped) => {}
    }
}
