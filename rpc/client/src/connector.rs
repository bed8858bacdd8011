//! The transport of a link: TCP, or a stream of the caller's choice. No other file names it.

use std::io;
use std::time::Duration;

use registry::{Connecting, Stream};
use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;

/// Idle time after which the kernel probes a connection.
const KEEPALIVE: Duration = Duration::from_secs(60);

/// Opens connections to instances; see [`ClientBuilder::via`](crate::ClientBuilder::via).
pub trait Connect: Send + Sync + 'static {
    /// Opens a connection to `addr`, `host:port` as the instance is registered. Dropping the future gives up.
    fn connect<'a>(&'a self, addr: &'a str) -> Connecting<'a>;
}

/// Connects over TCP.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TcpConnect;

impl Connect for TcpConnect {
    fn connect<'a>(&'a self, addr: &'a str) -> Connecting<'a> {
        Box::pin(async move {
            let stream = TcpStream::connect(addr).await?;
            stream.set_nodelay(true)?;
            SockRef::from(&stream).set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE))?;
            Ok(Box::new(stream) as Box<dyn Stream>)
        })
    }
}

/// Makes a [`Connect`] of a closure that opens a stream to an address.
pub fn connect_fn<F, Fut, S>(open: F) -> impl Connect
where
    F: Fn(String) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = io::Result<S>> + Send + 'static,
    S: Stream + 'static,
{
    ConnectFn(open)
}

struct ConnectFn<F>(F);

impl<F, Fut, S> Connect for ConnectFn<F>
where
    F: Fn(String) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = io::Result<S>> + Send + 'static,
    S: Stream + 'static,
{
    fn connect<'a>(&'a self, addr: &'a str) -> Connecting<'a> {
        let opening = (self.0)(addr.to_owned());
        Box::pin(async move { Ok(Box::new(opening.await?) as Box<dyn Stream>) })
    }
}
