//! How a client reaches a server: TCP, or whatever a test or an embedding program has.

use std::fmt;
use std::io;
use std::pin::Pin;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

/// A connection to a server: bytes both ways.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// What [`Connect::connect`] returns.
pub type Connecting<'a> = Pin<Box<dyn Future<Output = io::Result<Box<dyn Stream>>> + Send + 'a>>;

/// A way to open connections.
pub trait Connect: Send + Sync + 'static {
    /// Opens a connection to `server`, an entry of the list as `host:port`. The client gives up by dropping
    /// the future.
    fn connect<'a>(&'a self, server: &'a str) -> Connecting<'a>;
}

/// Connects over TCP, resolving the host's name every time.
#[derive(Clone, Copy, Debug, Default)]
pub struct TcpConnect;

impl Connect for TcpConnect {
    fn connect<'a>(&'a self, server: &'a str) -> Connecting<'a> {
        Box::pin(async move {
            let stream = TcpStream::connect(server).await?;
            // Requests are written in one piece and each is waited for.
            stream.set_nodelay(true)?;
            Ok(Box::new(stream) as Box<dyn Stream>)
        })
    }
}

/// Makes a [`Connect`] of a closure that opens a stream, whatever the server.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use zk_client::{Client, connect_fn};
/// use zk_mini::ZkMini;
///
/// let zk = ZkMini::builder().in_memory().start().await?;
/// let connector = zk.connector();
/// let via = connect_fn(move || std::future::ready(connector.connect()));
/// let client = Client::builder().via(via).connect().await?;
/// # Ok(())
/// # }
/// ```
pub fn connect_fn<F, Fut, S>(open: F) -> impl Connect
where
    F: Fn() -> Fut + Send + Sync + 'static,
    Fut: Future<Output = io::Result<S>> + Send,
    S: Stream + 'static,
{
    ConnectFn(open)
}

struct ConnectFn<F>(F);

impl<F, Fut, S> Connect for ConnectFn<F>
where
    F: Fn() -> Fut + Send + Sync + 'static,
    Fut: Future<Output = io::Result<S>> + Send,
    S: Stream + 'static,
{
    fn connect<'a>(&'a self, _: &'a str) -> Connecting<'a> {
        Box::pin(async move { Ok(Box::new((self.0)().await?) as Box<dyn Stream>) })
    }
}

impl<F> fmt::Debug for ConnectFn<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ConnectFn")
    }
}
