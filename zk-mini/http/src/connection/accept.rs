//! Accepts the connections of a port of its own.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use zk_mini::Handle;

/// Time between two attempts to accept, after one has failed.
const PAUSE: Duration = Duration::from_millis(100);

/// Accepts connections until the server stops, and gives each to `serve`.
pub(crate) async fn accept<F>(
    listener: TcpListener,
    server: Handle,
    serve: impl Fn(TcpStream, SocketAddr) -> F,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let accept = async {
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => {
                    // Without it a small answer may wait for the acknowledgement of the one before.
                    let _ = stream.set_nodelay(true);
                    tokio::spawn(serve(stream, peer));
                }
                // Usually too many open files, which takes time to change.
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
        }
    };
    tokio::select! {
        () = accept => {}
        () = server.ended() => {}
    }
}
