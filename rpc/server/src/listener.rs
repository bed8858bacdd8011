//! Listeners of the user's choice: a simulated network, another transport.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Waker};

use tokio::io::{AsyncRead, AsyncWrite};

use crate::acceptor::Accept;

/// Accepts connections of any transport; see [`Server::serve_on`](crate::Server::serve_on).
///
/// ```
/// use std::io;
/// use std::net::SocketAddr;
///
/// use rpc_server::Listener;
/// use turmoil::net::{TcpListener, TcpStream};
///
/// // A listener of the simulated network of turmoil.
/// struct Simulated(TcpListener);
///
/// impl Listener for Simulated {
///     type Stream = TcpStream;
///
///     async fn accept(&mut self) -> io::Result<(TcpStream, SocketAddr)> {
///         self.0.accept().await
///     }
/// }
/// ```
pub trait Listener: Send {
    /// Connection.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// Waits for the next connection, and returns it with the address of the peer, which limits are counted for. Cancel-safe:
    /// a future that is dropped loses no connection. After an error the server pauses for a moment and goes on.
    fn accept(&mut self) -> impl Future<Output = io::Result<(Self::Stream, SocketAddr)>> + Send;
}

/// Makes the server's own trait of the user's.
#[derive(Debug)]
pub(crate) struct AcceptOn<L>(pub(crate) L);

impl<L: Listener> Accept for AcceptOn<L> {
    type Stream = L::Stream;

    async fn accept(&mut self, _reluctant: bool) -> io::Result<(L::Stream, SocketAddr)> {
        self.0.accept().await
    }

    fn turn_away(&mut self, _refusal: &[u8]) -> Option<SocketAddr> {
        None
    }

    fn refuse(stream: L::Stream, refusal: &[u8]) {
        refuse(stream, refusal);
    }
}

/// Sends bytes, if the connection takes them at once.
pub(crate) fn refuse(mut stream: impl AsyncWrite + Unpin, refusal: &[u8]) {
    let _ = Pin::new(&mut stream).poll_write(&mut Context::from_waker(Waker::noop()), refusal);
}
