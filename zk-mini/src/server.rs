//! The handle of a running server.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::DuplexStream;
use tokio::task::{AbortHandle, JoinHandle};

use crate::builder::Builder;
use crate::direct::Direct;
use crate::error::Error;
use crate::shell::connector::{self, Connector};
use crate::shell::engine::Engine;
use crate::shell::keeper;
use crate::shell::listener::Listener;
use crate::storage::Store;

/// A running ZooKeeper server; it stops when it is stopped or dropped. All servers of a process that listen share one
/// thread, which is not the caller's: the caller may block. Thousands of servers in one process are fine. See
/// [`Builder::start`].
#[derive(Debug)]
pub struct ZkMini {
    pub(crate) engine: Arc<Engine>,
    listener: Option<Arc<Listener>>,
    tasks: Vec<AbortHandle>,
    /// The task that writes to the disk. It ends when everything is written.
    keeper: Option<JoinHandle<()>>,
}

impl ZkMini {
    /// Starts a server on a free port of 127.0.0.1. When this returns, the server serves.
    ///
    /// # Errors
    /// [`Error`] if the system gives no port or no thread.
    pub async fn start() -> Result<Self, Error> {
        Self::builder().start().await
    }

    /// Configures a server; finish with [`Builder::start`].
    pub fn builder() -> Builder {
        Builder::new()
    }

    pub(crate) fn run(
        engine: Arc<Engine>,
        listener: Option<Listener>,
        store: Option<Store>,
        manual_clock: bool,
    ) -> Self {
        let listener = listener.map(Arc::new);
        let mut tasks = Vec::new();
        if let Some(listener) = &listener {
            let accept = Arc::clone(listener).accept(Arc::clone(&engine));
            tasks.push(engine.runtime.spawn(accept).abort_handle());
        }
        tasks.push(engine.runtime.spawn(Arc::clone(&engine).tidy_up()).abort_handle());
        if !manual_clock {
            let timer = Arc::clone(&engine);
            tasks.push(engine.runtime.spawn(timer.keep_time()).abort_handle());
        }
        let keeper = store.map(|store| {
            let writing = engine.runtime.spawn(keeper::keep(Arc::clone(&engine), store));
            let engine = Arc::clone(&engine);
            engine.runtime.clone().spawn(async move {
                if writing.await.is_err_and(|error| error.is_panic()) {
                    log!(ERROR, "a defect of zk-mini has stopped the writing to the disk: the server closes all connections");
                    engine.stop();
                }
            })
        });
        Self { engine, listener, tasks, keeper }
    }

    /// Returns the first address that the server listens on; `None` if it is in memory only.
    #[must_use]
    pub fn addr(&self) -> Option<SocketAddr> {
        self.listener.as_ref().map(|listener| listener.addrs[0])
    }

    /// Returns the connect string for clients: `127.0.0.1:PORT`. A server that listens on every address gives its
    /// loopback address; a server in memory gives a name that does not resolve, for clients that need a name
    /// beside their [`Connector`].
    #[must_use]
    pub fn connect_string(&self) -> String {
        let Some(mut addr) = self.addr() else { return "in-memory:2181".into() };
        match addr.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => addr.set_ip(Ipv4Addr::LOCALHOST.into()),
            IpAddr::V6(ip) if ip.is_unspecified() => addr.set_ip(Ipv6Addr::LOCALHOST.into()),
            _ => {}
        }
        addr.to_string()
    }

    /// Opens a connection without a socket; see [`Connector::connect`]. A server that listens accepts it, too.
    #[must_use]
    pub fn connect(&self) -> DuplexStream {
        // Refused only after a stop, which takes or drops `self`; the caller then gets a closed stream.
        connector::connect(&self.engine).unwrap_or_else(|| tokio::io::duplex(1).0)
    }

    /// Returns a handle that opens connections without a socket. It may outlive the server.
    #[must_use]
    pub fn connector(&self) -> Connector {
        Connector::new(&self.engine)
    }

    /// Returns a view of the server's state that needs no client.
    #[must_use]
    pub fn direct(&self) -> Direct<'_> {
        Direct::new(&self.engine)
    }

    /// Moves a manual clock.
    ///
    /// First, input that peers have written before is handled, as far as each connection may go on. Then the server
    /// acts at each of its deadlines on the way, in order, with the clock at that deadline. Requests that arrive
    /// meanwhile are handled after the whole move: to keep a session alive for a long time, ping between short moves. When this returns, all effects of the move have been performed: sessions have expired, their nodes are
    /// gone, watch events and replies are in the connections (as far as their peers take them), and connections that
    /// the server closes are closed. The clients' reactions are not waited for.
    ///
    /// # Panics
    /// If the server was not built with [`Builder::manual_clock`].
    pub async fn advance(&self, by: Duration) {
        let engine = Arc::clone(&self.engine);
        // The caller's runtime may have no drivers for sockets. This fails only if ours has ended.
        let _ = self.engine.runtime.spawn(async move { engine.handle_pending_input().await }).await;
        let moved = self.engine.advance(by);
        assert!(moved, "this server has the real clock: build it with `manual_clock()` to move time");
        self.engine.settled().await;
        for barrier in self.engine.barriers() {
            // Its sender is dropped when the barrier is passed.
            let _ = barrier.await;
        }
    }

    /// Waits until a defect stops the server; a failing disk does not. The log describes the defect. No client is served
    /// afterwards, so a program should end, too.
    pub async fn ended(&self) {
        self.engine.ended().await;
    }

    /// Stops the server. When this returns, the port is free, every connection is closed, and the data directory may be
    /// opened again.
    pub async fn stop(mut self) {
        self.close();
        self.engine.emptied().await;
        if let Some(keeper) = self.keeper.take() {
            // The task does not panic; if its runtime ends first, this ends, too.
            let _ = keeper.await;
        }
    }

    fn close(&self) {
        if let Some(listener) = &self.listener {
            listener.close();
        }
        for task in &self.tasks {
            task.abort();
        }
        self.engine.stop();
    }
}

/// Stops the server. The port is free at once; the connections are closed, and the data directory is free, as soon as
/// their runtime runs.
impl Drop for ZkMini {
    fn drop(&mut self) {
        self.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_server_that_a_defect_has_stopped_reports_it() {
        let zk = ZkMini::builder().in_memory().start().await.unwrap();
        let ended = zk.ended();
        tokio::pin!(ended);
        assert!(is_pending(&mut ended), "the server serves");
        // This is how the task ends the server that writes to the disk.
        zk.engine.stop();
        tokio::time::timeout(Duration::from_secs(20), ended).await.unwrap();
    }

    fn is_pending(future: &mut std::pin::Pin<&mut impl Future<Output = ()>>) -> bool {
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        future.as_mut().poll(&mut context).is_pending()
    }
}
