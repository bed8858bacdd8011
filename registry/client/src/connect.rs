//! Ways to reach a server: TCP, or a stream of the caller's choice.

use std::fmt;
use std::io;
use std::pin::Pin;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};

/// Connection to a server: bytes in both directions.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Result of [`Connect::connect`].
pub type Connecting<'a> = Pin<Box<dyn Future<Output = io::Result<Box<dyn Stream>>> + Send + 'a>>;

/// Result of [`Connect::resolve`].
pub type Resolving<'a> = Pin<Box<dyn Future<Output = io::Result<Vec<String>>> + Send + 'a>>;

/// Opens connections to servers.
pub trait Connect: Send + Sync + 'static {
    /// Finds the addresses of `server`, an entry of the list as `host:port`, for [`connect`](Self::connect). The client asks
    /// again in every round through its servers, and uses the last answer where a later one is late or missing; a late answer
    /// counts in a later round, if it takes less than 30 seconds. It tries the addresses in random order. By default the entry is
    /// its only address. Dropping the future gives up.
    fn resolve<'a>(&'a self, server: &'a str) -> Resolving<'a> {
        Box::pin(std::future::ready(Ok(vec![server.to_owned()])))
    }

    /// Opens a connection to `address`, one of the addresses of `server`. `server` is the entry of the list as `host:port`:
    /// its host is the name that a TLS certificate is checked against. An attempt that takes longer than a quarter of a second
    /// goes on beside the next one, and the first to succeed is used. Dropping the future gives up.
    fn connect<'a>(&'a self, server: &'a str, address: &'a str) -> Connecting<'a>;
}

/// Connects over TCP; the system's resolver finds the addresses of a name.
#[derive(Clone, Copy, Debug, Default)]
pub struct TcpConnect;

impl Connect for TcpConnect {
    fn resolve<'a>(&'a self, server: &'a str) -> Resolving<'a> {
        Box::pin(async move {
            let mut addresses = Vec::new();
            for address in lookup_host(server).await? {
                let address = address.to_string();
                if !addresses.contains(&address) {
                    addresses.push(address);
                }
            }
            Ok(addresses)
        })
    }

    fn connect<'a>(&'a self, _server: &'a str, address: &'a str) -> Connecting<'a> {
        Box::pin(async move {
            let stream = TcpStream::connect(address).await?;
            // A request is written in one piece and its caller waits: do not delay it.
            stream.set_nodelay(true)?;
            Ok(Box::new(stream) as Box<dyn Stream>)
        })
    }
}

/// Makes a [`Connect`] of a closure that opens a stream, the same way for every server and address.
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
    fn connect<'a>(&'a self, _server: &'a str, _address: &'a str) -> Connecting<'a> {
        Box::pin(async move { Ok(Box::new((self.0)().await?) as Box<dyn Stream>) })
    }
}

impl<F> fmt::Debug for ConnectFn<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ConnectFn")
    }
}
