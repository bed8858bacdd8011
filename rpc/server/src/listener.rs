//! Listeners of the user's choice: a simulated network, another transport.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Waker};

use tokio::io::{AsyncRead, AsyncWrite};

use crate::acceptor::{Accept, go_away};

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

    fn turn_away(&mut self, _why: &str) -> Option<SocketAddr> {
        None
    }

    fn refuse(stream: L::Stream, why: &str) {
        refuse(stream, why);
    }
}

/// Sends a GOAWAY with the reason, if the connection takes it at once.
pub(crate) fn refuse(mut stream: impl AsyncWrite + Unpin, why: &str) {
    let _ = Pin::new(&mut stream).poll_write(&mut Context::from_waker(Waker::noop()), &go_away(why));
}
