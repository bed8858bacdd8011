//! One server of an ensemble.

use std::net::SocketAddr;

use tokio::io::DuplexStream;

use crate::core::{Core, Lag, Now, Role, ServerInfo, ServerState, Unable};
use crate::error::Error;
use crate::handle::{ConnectionInfo, Handle};
use crate::shell::connector::{self, Connector};

/// One server of an ensemble: a handle to it, from [`Handle::server`]. What is done to it stays until it is undone, also by
/// other handles; [`Handle::reset_all`] undoes everything.
///
/// Clients of a server see it as they would see a member of a real ensemble. Reads are answered from what this server knows,
/// and writes when this server has them. A session can move to another server; its earlier connection hears of that at its
/// next write, which does nothing and ends the connection.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
/// use zk_client::{Client, CreateMode};
/// use zk_mini::{Lag, ZkMini};
///
/// let zk = ZkMini::builder().servers(3).start().await?;
/// let writer = Client::connect(&zk.server(2)?.connect_string()).await?;
/// let reader = Client::connect(&zk.server(1)?.connect_string()).await?;
/// zk.server(1)?.lag(Lag::Transactions(5)).await?;
///
/// writer.create("/config", "new", CreateMode::Persistent).await?;
/// assert!(reader.exists("/config").await?.is_none(), "the server of the reader is behind");
/// reader.sync("/config").await?; // catches up
/// assert!(reader.exists("/config").await?.is_some());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Server {
    handle: Handle,
    number: usize,
}

impl Server {
    pub(crate) fn new(handle: Handle, number: usize) -> Self {
        Self { handle, number }
    }

    /// Returns the present place of the server; one that no server has if a reset has dismissed it.
    fn place(&self) -> usize {
        self.handle.engine.look(|state| state.core.place_of(self.number))
    }

    /// Returns the number of the server.
    #[must_use]
    pub fn number(&self) -> usize {
        self.number
    }

    /// Returns the state of the server.
    #[must_use]
    pub fn info(&self) -> ServerInfo {
        let place = self.place();
        let info = self.handle.engine.look(|state| state.core.servers().get(place).copied());
        // It had joined, and was dismissed by a reset.
        info.unwrap_or(ServerInfo {
            server: self.number(),
            role: Role::Looking,
            state: ServerState::Stopped,
            last_zxid: self.handle.last_zxid(),
            lag: Lag::None,
            behind: 0,
        })
    }

    /// Returns a handle that shows what this server has: its nodes, connections and figures, where [`Handle`]'s of the whole
    /// are the leader's. What it writes goes to all.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle.clone().showing(Some(self.place()))
    }

    /// Returns the first address that the server listens on; `None` if it is in memory only, or listens for TLS only.
    #[must_use]
    pub fn addr(&self) -> Option<SocketAddr> {
        self.handle().addr()
    }

    /// Returns the first address that the server listens on for TLS only; `None` if there is none. What is done to the server
    /// is done to this port, too.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn tls_addr(&self) -> Option<SocketAddr> {
        self.handle().tls_addr()
    }

    /// Returns the connect string of this server alone.
    #[must_use]
    pub fn connect_string(&self) -> String {
        self.handle.name_of(self.place())
    }

    /// Returns the connections to this server, in the order in which they were accepted.
    #[must_use]
    pub fn connections(&self) -> Vec<ConnectionInfo> {
        self.handle().connections()
    }

    /// Opens a connection without a socket; see [`Connector::connect`].
    #[must_use]
    pub fn connect(&self) -> DuplexStream {
        // Refused only by a server that is stopped or down; the caller then gets a closed stream.
        let stream = connector::connect(&self.handle.engine, Some(self.place()));
        stream.unwrap_or_else(|| tokio::io::duplex(1).0)
    }

    /// Returns a handle that opens connections to this server without a socket.
    #[must_use]
    pub fn connector(&self) -> Connector {
        Connector::new(&self.handle.engine, Some(self.place()))
    }

    /// Stops the server: its ports refuse, and its connections are closed when this returns. If it leads, another server is
    /// elected; if fewer than a majority are left, the quorum is [lost](Handle::lose_quorum).
    pub async fn stop(&self) {
        if let Some(listener) = &self.handle.engine.setup.listener {
            listener.take_down_server(self.place());
        }
        self.change_and_close(Core::stop_server).await;
    }

    /// Starts the server after [`stop`](Self::stop), on the same ports, with everything that has happened meanwhile. Does
    /// nothing if it runs.
    ///
    /// # Errors
    /// [`Error::Listen`] if another program has taken the port. The server stays stopped then.
    pub async fn start(&self) -> Result<(), Error> {
        let engine = &self.handle.engine;
        let place = self.place();
        if !engine.look(|state| state.core.is_server_stopped(place)) {
            return Ok(());
        }
        // An election closes the connections of read-only clients. Nobody can be refused by a server that listens.
        self.change_and_close(Core::start_server).await;
        let is_down = engine.look(|state| state.core.is_down());
        let Some(listener) = engine.setup.listener.as_ref().filter(|_| !is_down) else { return Ok(()) };
        let listened = listener.bring_up_server(place, &engine.runtime);
        if listened.is_err() {
            self.change_and_close(Core::stop_server).await;
        }
        listened
    }

    /// Stops the server and starts it again.
    ///
    /// # Errors
    /// [`Error::Listen`]
    pub async fn restart(&self) -> Result<(), Error> {
        self.stop().await;
        self.start().await
    }

    /// Cuts the server off from the others: its connections are closed, and new ones get no answer. If it leads, another
    /// server is elected; if fewer than a majority are left, the quorum is [lost](Handle::lose_quorum).
    pub async fn partition(&self) {
        self.change_and_close(Core::partition_server).await;
    }

    /// Lets the server reach the others again. It has everything that has happened meanwhile, and answers those who have
    /// connected.
    pub async fn heal(&self) {
        self.change_and_close(Core::heal_server).await;
        self.handle.handle_arrived().await;
    }

    /// Freezes the server for its clients: connections stay open, and hear nothing. It stays a part of the ensemble.
    pub async fn freeze(&self) {
        self.change(|core, _, server| core.freeze_server(server)).await;
    }

    /// Thaws the server. When this returns, what clients have sent meanwhile has been handled.
    pub async fn thaw(&self) {
        self.change(Core::thaw_server).await;
        self.handle.handle_arrived().await;
    }

    /// Sets how far the server is behind the leader; [`Lag::None`] ends that. A client that moves to a server that is
    /// behind what it has seen is refused, as by a real server.
    ///
    /// # Errors
    /// [`Unable::Leads`]: a leader does not lag.
    pub async fn lag(&self, lag: Lag) -> Result<(), Unable> {
        self.change(|core, _, server| core.lag_server(server, lag)).await.unwrap_or(Ok(()))
    }

    /// Lets this server lead, in a new epoch, which stands in the upper half of zxids. All connections of all servers are
    /// closed, all sessions have their full timeouts, and the server does not lag any more.
    ///
    /// # Errors
    /// [`Unable::TakesNoPart`] if it is stopped or partitioned, or there is no quorum.
    pub async fn lead(&self) -> Result<(), Unable> {
        let elected = self.change_and_close(Core::elect_server).await;
        elected.unwrap_or(Ok(()))
    }

    /// Changes the server. Returns when everything that follows has been performed.
    async fn change<T>(&self, change: impl FnOnce(&mut Core, Now, usize) -> T) -> Option<T> {
        let engine = &self.handle.engine;
        let (result, performing) =
            engine.change(|core, now| change(core, now, core.place_of(self.number)))?;
        engine.performed(performing).await;
        Some(result)
    }

    async fn change_and_close<T>(&self, change: impl FnOnce(&mut Core, Now, usize) -> T) -> Option<T> {
        let engine = &self.handle.engine;
        engine.change_and_close(|core, now| change(core, now, core.place_of(self.number))).await
    }
}
