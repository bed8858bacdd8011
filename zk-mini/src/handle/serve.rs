//! Connections over streams of the caller.

use std::net::SocketAddr;

use tokio::io::{AsyncRead, AsyncWrite};

use crate::core::ConnId;
use crate::handle::Handle;
use crate::shell::came::Came;
use crate::shell::connection;
use crate::shell::connections::Refused;

/// Reason why a server does not serve a stream.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The server has been stopped.
    #[error("the zk-mini server has been stopped")]
    Stopped,
    /// The server is down; see [`Handle::bring_up`].
    #[error("the zk-mini server is down: bring it up first")]
    Down,
    /// The peer's address, or the server, has the maximum number of connections.
    #[error(
        "this address or the server already has the maximum number of connections: see \
         `Builder::max_client_connections` and `Builder::max_connections`"
    )]
    TooManyConnections,
}

impl Handle {
    /// Serves a client that is at the other end of `stream`: a TCP stream that the caller has accepted, one of a simulated
    /// network, or one with a layer of the caller's around it. For the server the connection comes from `peer`: access
    /// control lists of the scheme `ip`, four-letter words and `maxClientCnxns` see this address. Returns the
    /// connection's number. The server closes the stream when the connection ends, and when it is not accepted.
    ///
    /// The stream is used on the server's runtime (see [`Builder::start`](crate::Builder::start)); most streams do not mind.
    /// In a simulator, start the server [`in_memory`](crate::Builder::in_memory) on the simulated host: then everything runs
    /// there.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use tokio::io::{AsyncReadExt, AsyncWriteExt};
    /// use zk_mini::ZkMini;
    ///
    /// let zk = ZkMini::builder().in_memory().start().await?;
    /// let (mut client, server) = tokio::io::duplex(1024); // any stream
    /// zk.serve_stream(server, "10.0.0.1:4321".parse()?)?;
    /// client.write_all(b"cons").await?; // "which connections are there?"
    /// let mut answer = String::new();
    /// client.read_to_string(&mut answer).await?;
    /// assert!(answer.contains("/10.0.0.1:4321"));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ServeError`] if the connection is not accepted.
    pub fn serve_stream(
        &self,
        stream: impl AsyncRead + AsyncWrite + Send + 'static,
        peer: SocketAddr,
    ) -> Result<ConnId, ServeError> {
        let guard = self.engine.admit(Some(peer), Came::Anywhere).map_err(|refused| match refused {
            Refused::Stopped => ServeError::Stopped,
            Refused::Down => ServeError::Down,
            Refused::TooMany | Refused::Full => {
                self.engine.reject(peer, refused, Came::Anywhere);
                ServeError::TooManyConnections
            }
        })?;
        let id = guard.id;
        connection::spawn(Box::pin(stream), guard);
        Ok(id)
    }
}
