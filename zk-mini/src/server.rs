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

/// A running ZooKeeper server, until it is stopped or dropped. All that listen in one process share a thread, apart from
/// the caller's, who may block; thousands of them get along. See [`Builder::start`].
#[derive(Debug)]
pub struct ZkMini {
    pub(crate) engine: Arc<Engine>,
    listener: Option<Arc<Listener>>,
    tasks: Vec<AbortHandle>,
    /// Writes what is to be kept; it ends by itself when that is written.
    journal: Option<JoinHandle<()>>,
}

impl ZkMini {
    /// Starts a server on a free port of 127.0.0.1. When it returns, the server serves.
    ///
    /// # Errors
    /// [`Error`] if there is no free port, or no thread to be had.
    pub async fn start() -> Result<Self, Error> {
        Self::builder().start().await
    }

    /// A server that is to be different.
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
        let journal = store.map(|store| {
            let keeper = engine.runtime.spawn(keeper::keep(Arc::clone(&engine), store));
            let engine = Arc::clone(&engine);
            engine.runtime.clone().spawn(async move {
                if keeper.await.is_err_and(|error| error.is_panic()) {
                    log!(ERROR, "nothing can be kept any more, by a defect of zk-mini: the server ends all connections");
                    engine.stop();
                }
            })
        });
        Self { engine, listener, tasks, journal }
    }

    /// Where it listens; `None` if it does so in memory only.
    #[must_use]
    pub fn addr(&self) -> Option<SocketAddr> {
        self.listener.as_ref().map(|listener| listener.addrs[0])
    }

    /// What to give to a client: `127.0.0.1:PORT`. If the server listens on every address, this is the loopback
    /// one; if it listens in memory only, it is a name that resolves to nothing, for clients that want one beside
    /// their [`Connector`].
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

    /// A new connection without a socket; see [`Connector::connect`]. It works whether or not the server also listens.
    #[must_use]
    pub fn connect(&self) -> DuplexStream {
        // It is refused only after a stop, which takes or drops `self`. A closed stream says the same.
        connector::connect(&self.engine).unwrap_or_else(|| tokio::io::duplex(1).0)
    }

    /// A handle that opens connections without a socket, and that may outlive the server.
    #[must_use]
    pub fn connector(&self) -> Connector {
        Connector::new(&self.engine)
    }

    /// Looks at the server's state without a client.
    #[must_use]
    pub fn direct(&self) -> Direct<'_> {
        Direct::new(&self.engine)
    }

    /// Moves a manual clock.
    ///
    /// Input that peers have written before is handled first, as far as a connection may have its requests handled. Then
    /// the server acts at each of its deadlines on the way, in order, with the clock at that deadline; requests that
    /// arrive meanwhile are handled after the whole move, so a session that is to live through a long time has to
    /// ping between short moves. When this returns, everything that the move caused has been performed: sessions have
    /// expired, their nodes are gone, the watch events and replies are in the connections (as far as their peers take
    /// them), and the connections that the server closes are closed. What the clients then do is up to them.
    ///
    /// # Panics
    /// If the server was not built with [`Builder::manual_clock`].
    pub async fn advance(&self, by: Duration) {
        let engine = Arc::clone(&self.engine);
        // The caller's runtime may be another one, that knows nothing of sockets. This fails only if ours has ended.
        let _ = self.engine.runtime.spawn(async move { engine.handle_pending_input().await }).await;
        let moved = self.engine.advance(by);
        assert!(moved, "this server has the real clock: build it with `manual_clock()` to move time");
        self.engine.settled().await;
        for barrier in self.engine.barriers() {
            // The other half is dropped when the barrier is passed.
            let _ = barrier.await;
        }
    }

    /// Waits until the server has ended by itself: what it should keep cannot be kept any longer, by a defect, and it has said
    /// so in the log. A disk that fails is no such end. Nobody is served from then on, so a program should end, too.
    pub async fn ended(&self) {
        self.engine.ended().await;
    }

    /// Stops the server. When this returns, the port is free, every connection is closed, and the data directory may be
    /// opened again.
    pub async fn stop(mut self) {
        self.close();
        self.engine.emptied().await;
        if let Some(journal) = self.journal.take() {
            // It does not panic; if its runtime ends first, so does this.
            let _ = journal.await;
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

/// Stops the server: the port is free at once; the connections are closed, and the data directory is given up, as soon
/// as their runtime gets to it.
impl Drop for ZkMini {
    fn drop(&mut self) {
        self.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_end_that_nobody_asked_for_is_told() {
        let zk = ZkMini::builder().in_memory().start().await.unwrap();
        let ended = zk.ended();
        tokio::pin!(ended);
        assert!(is_pending(&mut ended), "it serves");
        // As the task does that writes, when it is lost.
        zk.engine.stop();
        tokio::time::timeout(Duration::from_secs(20), ended).await.unwrap();
    }

    fn is_pending(future: &mut std::pin::Pin<&mut impl Future<Output = ()>>) -> bool {
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        future.as_mut().poll(&mut context).is_pending()
    }
}
