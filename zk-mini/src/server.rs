//! The handle of a running server.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::DuplexStream;
use tokio::task::{AbortHandle, JoinHandle};

use crate::builder::Builder;
use crate::connector::{self, Connector};
use crate::direct::Direct;
use crate::engine::Engine;
use crate::error::Error;
use crate::journal;
use crate::listener::Listener;
use crate::storage::Store;

/// A running ZooKeeper server. It serves on the tokio runtime that it was started on, without a thread of its own,
/// until it is stopped or dropped; thousands of them get along in one process.
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
    /// [`Error`] if there is no free port, or no tokio runtime.
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
        let journal = store.map(|store| engine.runtime.spawn(journal::keep(Arc::clone(&engine), store)));
        Self { engine, listener, tasks, journal }
    }

    /// Where it listens; `None` if it does so in memory only.
    #[must_use]
    pub fn addr(&self) -> Option<SocketAddr> {
        self.listener.as_ref().map(|listener| listener.addr)
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
    /// What peers have written before is handled first, as far as a connection may have its requests handled. Then the
    /// server acts at each of its deadlines on the way, in order, with the clock at that deadline; requests that
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
        let _ = self.engine.runtime.spawn(async move { engine.take_in().await }).await;
        let moved = self.engine.advance(by);
        assert!(moved, "this server has the real clock: build it with `manual_clock()` to move time");
        self.engine.settled().await;
        for barrier in self.engine.barriers() {
            // The other half is dropped when the barrier is passed.
            let _ = barrier.await;
        }
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
    use bytes::BytesMut;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use zk_wire::{ByteString, ConnectRequest, Encode, OpCode, RequestHeader, SessionId, Xid, Zxid};

    use super::*;
    use crate::storage::SimulatedDisk;

    fn frame(head: &impl Encode, zeros: usize) -> BytesMut {
        let mut body = BytesMut::new();
        head.encode(&mut body);
        body.resize(body.len() + zeros, 0);
        let mut frame = BytesMut::from(&u32::try_from(body.len()).unwrap().to_be_bytes()[..]);
        frame.extend(body);
        frame
    }

    async fn session(zk: &ZkMini) -> DuplexStream {
        let mut stream = zk.connect();
        let request = ConnectRequest {
            protocol_version: 0,
            last_zxid_seen: Zxid(0),
            timeout: 4_000,
            session_id: SessionId::NONE,
            password: None,
            read_only: Some(false),
        };
        stream.write_all(&frame(&request, 0)).await.unwrap();
        stream.read_exact(&mut [0; 41]).await.unwrap();
        stream
    }

    #[tokio::test]
    async fn who_is_not_read_because_of_a_slow_disk_does_not_expire() {
        let builder = ZkMini::builder().in_memory().manual_clock().max_backlog(64 << 10);
        let zk = builder.data_dir("/data").disk(&SimulatedDisk::new(1)).start().await.unwrap();
        let (mut writing, _silent) = (session(&zk).await, session(&zk).await);
        // From here on the disk takes nothing.
        zk.journal.as_ref().unwrap().abort();
        let header = RequestHeader { xid: Xid(1), op: OpCode::CREATE };
        let refused = frame(&header, 4_000);
        for _ in 0..8 {
            writing.write_all(&refused).await.unwrap();
        }
        for _ in 0..5 {
            zk.engine.take_in().await;
            assert!(zk.engine.advance(Duration::from_secs(3)));
        }
        assert_eq!(zk.direct().sessions().len(), 1, "who has written lives, who was silent does not");
    }

    #[tokio::test]
    async fn what_a_connection_leaves_behind_is_tidied_up_whatever_the_clock() {
        let zk = ZkMini::builder().in_memory().manual_clock().start().await.unwrap();
        let mut watching = session(&zk).await;
        for n in 0..5_000 {
            let mut exists = frame(&RequestHeader { xid: Xid(n), op: OpCode::EXISTS }, 0);
            ByteString::from(format!("/{n}")).encode(&mut exists);
            exists.extend_from_slice(&[1]);
            let length = u32::try_from(exists.len() - 4).unwrap().to_be_bytes();
            exists[..4].copy_from_slice(&length);
            watching.write_all(&exists).await.unwrap();
            watching.read_exact(&mut [0; 20]).await.unwrap();
        }
        drop(watching);
        let is_gone =
            || zk.engine.look(|state| state.core.connections().is_empty() && !state.core.is_untidy());
        let gone = async {
            while !is_gone() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), gone).await.unwrap();
    }
}
