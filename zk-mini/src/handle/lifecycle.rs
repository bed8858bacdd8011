//! Restarts of a server and its reset, on the same address and with the same handle.

use crate::core::{Core, Replacement};
use crate::error::Error;
use crate::handle::Handle;
use crate::shell::exchange::{Losing, NoExchange};
use crate::storage::StorageError;

/// Reason why a server does not have the wanted state.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RestoreError {
    /// The server has been stopped. It has its last state.
    #[error("the server has been stopped: start another one")]
    Stopped,
    /// The disk is lost. The state is the former one.
    #[error("the disk of the server fails, and it refuses every change; it tries again every second")]
    ReadOnly,
    /// The disk failed before the new state was durable, or the server was restarted as after a loss of power. It goes back to
    /// the state that is on the disk.
    #[error(
        "the new state was lost before it was durable: the disk failed, and the server refuses writes until the disk accepts \
         them, or it was restarted without what was not synced; it goes back to what is on the disk"
    )]
    NotDurable,
    /// The files cannot be read or written.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// A server that was down has the wanted state, but cannot listen on one of its addresses, and stays down.
    #[error("the server stays down: {0}")]
    Down(#[source] Error),
}

impl From<NoExchange> for RestoreError {
    fn from(reason: NoExchange) -> Self {
        match reason {
            NoExchange::Stopped => Self::Stopped,
            NoExchange::ReadOnly => Self::ReadOnly,
        }
    }
}

/// Restarts. The listener, the handle, the clock, and what is frozen stay; all connections of clients are closed when a method
/// returns. No client is stuck afterwards: zxids go on above all that this server has given, ids of sessions are never given
/// twice, sessions that are kept have their full timeout again, and all others are told that they have expired.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
/// use zk_client::{Client, CreateMode};
/// use zk_mini::ZkMini;
///
/// let zk = ZkMini::start().await?;
/// let client = Client::connect(&zk.connect_string()).await?;
/// client.create("/leader", "me", CreateMode::Ephemeral).await?;
///
/// zk.restart().await; // the client reconnects by itself, and still leads
/// zk.session_of("/leader").ok_or("nobody leads")?.until_connected(Duration::from_secs(20)).await?;
/// assert!(client.exists("/leader").await?.is_some());
///
/// zk.reset().await?; // everything is gone, the client's session, too
/// assert!(zk.sessions().is_empty() && zk.get("/leader").is_none());
/// # Ok(())
/// # }
/// ```
impl Handle {
    /// Restarts the server: nodes and sessions stay. Replies that were waiting for the disk are sent before.
    ///
    /// Does nothing if the server has been stopped.
    pub async fn restart(&self) {
        self.engine.change_and_close(Core::restart).await;
    }

    /// Restarts the server as after a loss of power. In memory everything is lost, as by [`reset`](Self::reset). With a data
    /// directory, what was not synced is: writes that are not answered yet, and with [`SyncMode::None`](crate::SyncMode) also
    /// answered ones, up to the last snapshot or log.
    ///
    /// # Errors
    /// [`RestoreError`]
    pub async fn restart_losing_unsynced(&self) -> Result<(), RestoreError> {
        let loss = self.engine.loss.lock().await;
        match self.engine.lose_unsynced()? {
            Losing::InMemory => return self.empty(Replacement::Loss).await,
            // Given up: the disk has failed before, or the server has been stopped.
            Losing::Asked(lost) => lost.await.map_err(|_| self.given_up())??,
        }
        drop(loss);
        self.engine.change_and_close(|_, _| ()).await.ok_or(RestoreError::Stopped)
    }

    /// Empties the server: only the system's nodes are left, and no session. With a data directory this is durable when it
    /// returns; files of before stay, as old snapshots do.
    ///
    /// # Errors
    /// [`RestoreError`]
    pub async fn reset(&self) -> Result<(), RestoreError> {
        self.empty(Replacement::Reset).await
    }

    /// Empties the server as [`reset`](Self::reset) does, and undoes what a test has done to it besides: removes all fault
    /// rules, thaws everything, heals the servers of an ensemble, brings the server up, and holds or releases the clock as the
    /// builder did, with its wall clock, so that the next test finds it as new. Zxids, and the [history](crate::history), go on.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use zk_mini::{On, Then, ZkMini};
    ///
    /// let zk = ZkMini::start().await?;
    /// zk.fault(On::create("/**"), Then::disconnect()).keep();
    /// zk.hold_clock().await;
    /// zk.freeze();
    ///
    /// zk.reset_all().await?;
    /// assert!(zk.faults().is_empty() && !zk.is_clock_held() && !zk.is_frozen());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`RestoreError`]; all but what it names has been undone then, too.
    pub async fn reset_all(&self) -> Result<(), RestoreError> {
        self.remove_faults();
        self.heal_servers().await;
        let emptied = self.reset().await;
        let frozen: Vec<_> = self.engine.look(|state| state.core.frozen_parts().collect());
        self.thaw_parts(&frozen).await;
        self.engine.restore_clock();
        let up = self.bring_up().await;
        emptied?;
        up.map_err(RestoreError::Down)
    }

    fn given_up(&self) -> RestoreError {
        if self.engine.look(|state| state.stopped) { RestoreError::Stopped } else { RestoreError::ReadOnly }
    }

    async fn empty(&self, why: Replacement) -> Result<(), RestoreError> {
        let config = self.engine.look(|state| state.core.config().clone());
        self.exchange(Core::new(config), why).await
    }

    /// Takes the server down, as a process that is stopped: all connections are closed, and new ones refused, by sockets and
    /// by [`connector`](Self::connector)s. Nodes and sessions stay, and nothing expires. The port stays ours, so that
    /// [`bring_up`](Self::bring_up) gets it again. The handle works as before: what it writes is seen when the server is up.
    pub async fn take_down(&self) {
        if let Some(listener) = &self.engine.setup.listener {
            listener.take_down();
        }
        self.engine.change_and_close(|core, _| core.take_down()).await;
    }

    /// Brings the server up after [`take_down`](Self::take_down), on the same addresses. Sessions have their full timeouts, as
    /// after a restart. Does nothing if the server is not down, or has been stopped.
    ///
    /// # Errors
    /// [`Error::Listen`] if the server cannot listen on one of its addresses. It stays down then.
    pub async fn bring_up(&self) -> Result<(), Error> {
        // Nobody can be refused by a server that listens.
        self.engine.change(Core::bring_up);
        let listener = self.engine.setup.listener.as_ref();
        let stopped = self.engine.look(|state| state.core.stopped_servers());
        let listened = listener.map_or(Ok(()), |listener| listener.bring_up(&self.engine.runtime, &stopped));
        if listened.is_err() {
            self.engine.change_and_close(|core, _| core.take_down()).await;
        }
        listened
    }

    /// Returns true between [`take_down`](Self::take_down) and [`bring_up`](Self::bring_up).
    #[must_use]
    pub fn is_down(&self) -> bool {
        self.engine.look(|state| state.core.is_down())
    }

    /// Exchanges the state of the server.
    pub(super) async fn exchange(&self, next: Core, why: Replacement) -> Result<(), RestoreError> {
        let (former, performing) = self.engine.exchange(next, why)?;
        drop(former);
        if !self.engine.performed(performing).await {
            return Err(RestoreError::NotDurable);
        }
        self.engine.closed().await;
        Ok(())
    }
}
