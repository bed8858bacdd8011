//! HTTP of a server: on its ZooKeeper port, and on ports of its own.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;
use zk_mini::{Builder, Handle, HttpConnection};

use crate::app::App;
use crate::connection::{self, AtEnd};
use crate::event_streams::EventStreamCounts;
use crate::face::Face;
use crate::router;
use crate::runtime::runtime;
use crate::settings::Settings;
use crate::shared::Shared;

/// The HTTP side of servers. A clone shares settings and limits.
#[derive(Clone, Debug)]
pub struct Http {
    shared: Arc<Shared>,
}

impl Http {
    /// Configures the HTTP side. It serves nothing until it is given a port.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self { shared: Arc::new(Shared::new(settings)) }
    }

    /// Serves [`Face::Full`] on the ZooKeeper port of a server that is still to be started, and on its in-memory connections.
    pub fn share_port(&self, builder: Builder) -> Builder {
        let (shared, face) = (Arc::clone(&self.shared), Arc::new(Face::Full));
        builder.on_http(move |server, HttpConnection { stream, peer, listener, .. }| {
            // Without a thread there is nobody to answer: the connection is closed.
            if let Ok(runtime) = runtime() {
                let router = shared.full.get_or_init(|| router::of(&Face::Full)).clone();
                let (shared, face) = (Arc::clone(&shared), Arc::clone(&face));
                let app = App { server, shared, face, peer, listener, at_end: AtEnd::default() };
                runtime.spawn(connection::serve(stream, app, router));
            }
        })
    }

    /// Returns the counts of the event streams that are open.
    #[must_use]
    pub fn event_streams(&self) -> EventStreamCounts {
        self.shared.event_streams()
    }

    /// Serves HTTP on a port of its own, until the server stops. Port 0 lets the system choose; returns the address.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use zk_mini::ZkMini;
    /// use zk_mini_http::{Face, Http, Settings};
    ///
    /// let zk = ZkMini::start().await?;
    /// let face = Face::Admin { commands: Some("/commands".into()), metrics: true };
    /// let addr = Http::new(Settings::default()).listen(&zk, ([127, 0, 0, 1], 0).into(), &face)?;
    /// println!("http://{addr}/commands/ruok and http://{addr}/metrics");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`io::Error`] if the address cannot be listened on, or the system gives no thread.
    pub fn listen(&self, server: &Handle, addr: SocketAddr, face: &Face) -> io::Result<SocketAddr> {
        self.serve(server, std::net::TcpListener::bind(addr)?, face)
    }

    /// Serves HTTP on a port of its own that is bound already, until the server stops; returns its address.
    ///
    /// # Errors
    /// [`io::Error`] if the listener cannot be used, or the system gives no thread.
    pub fn serve(
        &self,
        server: &Handle,
        listener: std::net::TcpListener,
        face: &Face,
    ) -> io::Result<SocketAddr> {
        let runtime = runtime()?;
        listener.set_nonblocking(true)?;
        let bound = listener.local_addr()?;
        let listener = {
            let _entered = runtime.enter();
            TcpListener::from_std(listener)?
        };
        let (server, shared, router) = (server.clone(), Arc::clone(&self.shared), router::of(face));
        let face = Arc::new(face.clone());
        runtime.spawn(connection::accept(listener, server.clone(), move |stream, peer| {
            let app = App {
                server: server.clone(),
                shared: Arc::clone(&shared),
                face: Arc::clone(&face),
                peer: Some(peer),
                listener: Some(bound),
                at_end: AtEnd::default(),
            };
            connection::serve(stream, app, router.clone())
        }));
        Ok(bound)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;
    use zk_mini::ZkMini;

    use super::*;
    use crate::settings::Settings;

    #[tokio::test]
    async fn a_server_that_is_dropped_is_gone_while_connections_are_open() {
        let http = Http::new(Settings::default());
        let zk = http.share_port(ZkMini::builder()).start().await.unwrap();
        let own_port = http.listen(&zk, ([127, 0, 0, 1], 0).into(), &Face::Full).unwrap();
        let mut open = Vec::new();
        for addr in [zk.addr().unwrap(), own_port] {
            let mut stream = TcpStream::connect(addr).await.unwrap();
            stream.write_all(b"GET /v1/status HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
            stream.read_exact(&mut [0; 12]).await.unwrap();
            open.push(stream);
        }
        drop(zk);
        // The server holds the function that serves HTTP, which holds what connections share.
        let is_gone = async {
            while Arc::strong_count(&http.shared) > 1 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), is_gone).await.expect("nothing holds the server");
        drop(open);
    }
}
