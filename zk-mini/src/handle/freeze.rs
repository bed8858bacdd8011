//! Connections that are closed from the server's side, and freezing.

use std::net::SocketAddr;

use crate::core::{ConnId, Core, Input, Part};
use crate::handle::Handle;

/// The server does not listen at an address.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("this server does not listen at {addr}: it listens at {listens:?}")]
#[non_exhaustive]
pub struct NotListening {
    /// Address that was asked for.
    pub addr: SocketAddr,
    /// Addresses that the server listens at.
    pub listens: Vec<SocketAddr>,
}

/// Connections, and freezing. Connections of a frozen part are accepted, but never read, and nothing is sent to them, not
/// even their end. What a client sends waits where it is, and is no sign of life; what the server would send waits in
/// the server, at most [`max_backlog`](crate::Builder::max_backlog) bytes for a connection: one with more is given up,
/// like one whose peer does not read. A connection may belong to several frozen parts: itself, its
/// [session](crate::Session::freeze), its listener, the server; all must be thawed. A server that stops closes frozen
/// connections.
impl Handle {
    /// Closes a connection. Its session lives on. Returns false if there is no such connection. When this returns, the
    /// connection is closed, unless it is frozen.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use zk_client::Client;
    /// use zk_mini::ZkMini;
    ///
    /// let zk = ZkMini::start().await?;
    /// let client = Client::connect(&zk.connect_string()).await?;
    /// let conn = zk.connections()[0].id;
    /// assert!(zk.disconnect(conn).await);
    /// assert!(zk.connections().iter().all(|connection| connection.id != conn));
    /// assert_eq!(zk.sessions().len(), 1);
    /// # drop(client);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn disconnect(&self, conn: ConnId) -> bool {
        let disconnect = |core: &mut Core, now| {
            let is_known = core.knows(conn);
            core.handle(now, Input::Disconnect { conn });
            is_known
        };
        self.act(disconnect).await.unwrap_or_default()
    }

    /// Freezes a connection. Returns false if there is no such connection.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use zk_client::Client;
    /// use zk_mini::ZkMini;
    ///
    /// let zk = ZkMini::start().await?;
    /// let client = Client::connect(&zk.connect_string()).await?;
    /// let conn = zk.connections()[0].id;
    /// assert!(zk.freeze_connection(conn));
    /// let exists = client.exists("/"); // gets no answer before the thaw
    /// let (exists, is_thawed) = tokio::join!(exists, zk.thaw_connection(conn));
    /// assert!(exists?.is_some() && is_thawed);
    /// # Ok(())
    /// # }
    /// ```
    pub fn freeze_connection(&self, conn: ConnId) -> bool {
        self.engine.turn(|state, turn| {
            let is_known = state.core.knows(conn);
            if is_known {
                state.handle(Input::Freeze { part: Part::Connection(conn) }, turn);
            }
            is_known
        })
    }

    /// Thaws a connection. Returns false if it is not frozen itself. When this returns, what its peer has sent meanwhile
    /// has been handled, and what waited for it has been sent.
    pub async fn thaw_connection(&self, conn: ConnId) -> bool {
        let part = Part::Connection(conn);
        let is_frozen = self.engine.look(|state| state.core.is_part_frozen(part));
        self.thaw_parts(&[part]).await;
        is_frozen
    }

    /// Freezes a listening address: its connections, present and to come.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use tokio::io::{AsyncReadExt, AsyncWriteExt};
    /// use tokio::net::TcpStream;
    /// use zk_mini::ZkMini;
    ///
    /// let zk = ZkMini::start().await?;
    /// let addr = zk.addr().ok_or("in memory")?;
    /// zk.freeze_listener(addr)?;
    /// let mut stream = TcpStream::connect(addr).await?; // is accepted
    /// stream.write_all(b"ruok").await?; // but not answered
    /// zk.thaw_listener(addr).await?;
    /// let mut answer = String::new();
    /// stream.read_to_string(&mut answer).await?;
    /// assert_eq!(answer, "imok");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`NotListening`] if the server does not listen at that address.
    pub fn freeze_listener(&self, addr: SocketAddr) -> Result<(), NotListening> {
        self.freeze_part(self.listener(addr)?);
        Ok(())
    }

    /// Thaws a listening address. When this returns, what has been sent to it meanwhile has been handled.
    ///
    /// # Errors
    /// [`NotListening`] if the server does not listen at that address.
    pub async fn thaw_listener(&self, addr: SocketAddr) -> Result<(), NotListening> {
        self.thaw_parts(&[self.listener(addr)?]).await;
        Ok(())
    }

    /// Freezes the server: it stalls, like a process that is stopped or collects garbage. Connections are accepted, nothing
    /// is read or answered, four-letter words neither, and nobody expires. The methods of this handle still work.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    /// use zk_client::Client;
    /// use zk_mini::ZkMini;
    ///
    /// let zk = ZkMini::builder().manual_clock().start().await?;
    /// let client = Client::connect(&zk.connect_string()).await?;
    ///
    /// zk.freeze();
    /// zk.advance(Duration::from_secs(60)).await;
    /// assert_eq!(zk.sessions().len(), 1, "nobody expires");
    /// zk.thaw().await;
    /// assert!(zk.sessions().is_empty(), "unless its client had sent something meanwhile");
    /// # drop(client);
    /// # Ok(())
    /// # }
    /// ```
    pub fn freeze(&self) {
        self.freeze_part(Part::Server);
    }

    /// Thaws the server. First, what has arrived meanwhile is handled, so that a session whose client has pinged lives on;
    /// then what is due happens. When this returns, all of that has happened.
    pub async fn thaw(&self) {
        self.thaw_parts(&[Part::Server]).await;
    }

    /// Returns true if the server is frozen.
    #[must_use]
    pub fn is_frozen(&self) -> bool {
        self.engine.look(|state| state.core.is_part_frozen(Part::Server))
    }

    pub(super) fn freeze_part(&self, part: Part) {
        self.freeze_parts(&[part]);
    }

    pub(super) fn freeze_parts(&self, parts: &[Part]) {
        self.engine.turn(|state, turn| {
            for part in parts {
                state.handle(Input::Freeze { part: *part }, turn);
            }
        });
    }

    pub(super) async fn thaw_parts(&self, parts: &[Part]) {
        self.engine.turn(|state, turn| {
            for part in parts {
                state.handle(Input::Thaw { part: *part }, turn);
            }
        });
        self.handle_arrived().await;
    }

    /// Handles what has arrived, and does what is due then.
    pub(crate) async fn handle_arrived(&self) {
        self.handle_pending_input().await;
        self.engine.do_due_work().await;
        self.passed().await;
    }

    fn listener(&self, addr: SocketAddr) -> Result<Part, NotListening> {
        let listens = || self.engine.setup.addrs();
        self.listener_at(addr).map(Part::Listener).ok_or_else(|| NotListening { addr, listens: listens() })
    }
}
