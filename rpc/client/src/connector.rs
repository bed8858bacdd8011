//! The transport of a link: TCP. No other file names it.

use std::io;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

/// Idle time after which the kernel probes a connection.
const KEEPALIVE: Duration = Duration::from_secs(60);

/// Connects to `addr` (`host:port`).
pub(crate) async fn connect(addr: &str) -> io::Result<impl AsyncRead + AsyncWrite + Unpin + use<>> {
    let stream = TcpStream::connect(addr).await?;
    stream.set_nodelay(true)?;
    SockRef::from(&stream).set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE))?;
    Ok(stream)
}
