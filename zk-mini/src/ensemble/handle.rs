//! The ensemble as a whole.

use crate::core::{ServerInfo, Unable};
use crate::ensemble::Server;
use crate::handle::Handle;

/// Servers of an ensemble; see [`Builder::servers`](crate::Builder::servers). All of this is a simulation in one process: the
/// servers share one history, and there is no consensus.
///
/// The other methods act on the whole: what they show is the leader's, and what they write goes to all.
impl Handle {
    /// Returns the servers; none if this is a single one.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use zk_mini::{Role, ServerState, ZkMini};
    ///
    /// let zk = ZkMini::builder().servers(3).in_memory().start().await?;
    /// let roles: Vec<_> = zk.servers().iter().map(|server| server.role).collect();
    /// assert_eq!(roles, [Role::Follower, Role::Follower, Role::Leader]);
    /// assert!(zk.servers().iter().all(|server| server.state == ServerState::Running));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn servers(&self) -> Vec<ServerInfo> {
        self.engine.look(|state| state.core.servers())
    }

    /// Returns one server by its number: from 1 for those that the ensemble began with, and as `reconfig` has named it for one
    /// that has joined.
    ///
    /// # Errors
    /// [`Unable::NoSuchServer`]
    pub fn server(&self, number: usize) -> Result<Server, Unable> {
        self.engine.look(|state| state.core.find_server(number))?;
        Ok(Server::new(self.clone(), number))
    }

    /// Returns the number of the server that this handle shows, from 1; `None` if it shows the whole, as all handles do but those
    /// of [`Server::handle`].
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use zk_mini::ZkMini;
    ///
    /// let zk = ZkMini::builder().servers(3).in_memory().start().await?;
    /// assert_eq!(zk.shown_server(), None);
    /// assert_eq!(zk.server(2)?.handle().shown_server(), Some(2));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn shown_server(&self) -> Option<usize> {
        self.server.and_then(|server| Some(self.servers().get(server)?.server))
    }

    /// Loses the quorum: all connections are closed. Until [`regain_quorum`](Self::regain_quorum), clients that ask for
    /// read-only service are served from what each server has, with sessions that only it knows, and all others are
    /// refused. Sessions of before do not expire meanwhile. Does nothing if this is a single server.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use zk_client::{Client, CreateMode};
    /// use zk_mini::ZkMini;
    ///
    /// let zk = ZkMini::builder().servers(3).start().await?;
    /// zk.create("/config", "old").await?;
    /// zk.lose_quorum().await;
    /// let client = Client::builder().servers(zk.connect_string()).read_only(true).connect().await?;
    /// assert_eq!(client.get("/config").await?.0, "old");
    /// assert!(client.create("/a", "", CreateMode::Persistent).await.is_err());
    /// zk.regain_quorum().await; // the client moves on to a session of the whole ensemble
    /// # Ok(())
    /// # }
    /// ```
    pub async fn lose_quorum(&self) {
        self.engine.change_and_close(|core, now| core.set_quorum_lost(now, true)).await;
    }

    /// Gets the quorum back after [`lose_quorum`](Self::lose_quorum), if more than half of the servers take part: the one with
    /// the highest number leads, in a new epoch. All connections are closed, and all sessions have their full timeouts.
    pub async fn regain_quorum(&self) {
        self.engine.change_and_close(|core, now| core.set_quorum_lost(now, false)).await;
    }

    /// Undoes everything that was done to servers. A port that another program has taken stays down.
    pub(crate) async fn heal_servers(&self) {
        for info in self.servers() {
            if let Ok(server) = self.server(info.server) {
                // The server stays stopped if its port is gone: the test hears of that when it connects.
                let _ = server.start().await;
            }
        }
        let healed = |core: &mut crate::core::Core, now| {
            let stopped = core.stopped_servers();
            core.heal_ensemble(now);
            stopped.into_iter().for_each(|server| core.stop_server(now, server));
            core.server_count()
        };
        if let Some((count, _)) = self.engine.change(healed)
            && let Some(listener) = self.engine.setup.listener.as_ref().filter(|_| count > 0)
        {
            listener.forget_servers_from(count);
        }
        self.handle_arrived().await;
    }
}
