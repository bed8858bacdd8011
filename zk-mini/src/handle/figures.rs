//! Figures for monitoring.

use crate::handle::Handle;
use crate::report::figures::{
    ConnectionFigures, DescriptorFigures, DiskFigures, Environment, ExpiryFigures, Figures, Membership,
    WatchFigures,
};
use crate::shell::state::ServerState;
use crate::shell::system_info;

/// Figures for monitoring: all that the four-letter words show, as values. They are counted anyway; a server of which nobody
/// asks them pays nothing.
impl Handle {
    /// Returns the figures of the server. It takes a few microseconds, and more with hundreds of namespaces.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use zk_client::Client;
    /// use zk_mini::ZkMini;
    ///
    /// let zk = ZkMini::start().await?;
    /// let client = Client::connect(&zk.connect_string()).await?;
    /// client.exists("/a").await?;
    /// let figures = zk.figures();
    /// assert_eq!((figures.server.sessions, figures.server.connections), (1, 1));
    /// assert!(figures.server.stats.latency().totals.count >= 2, "the handshake and a read");
    /// # drop(client);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn figures(&self) -> Figures {
        self.see(|state| {
            let configuration = self.engine.configuration_of(self.server, state);
            state.figures(&configuration, state.clock.now())
        })
    }

    /// Returns how a server of an ensemble sees itself in the configuration; `None` if this is a single server, or the
    /// handle of a whole ensemble.
    #[must_use]
    pub fn membership(&self) -> Option<Membership> {
        self.see(|state| state.core.membership())
    }

    /// Returns the figures of each connection, in the order in which they were accepted.
    #[must_use]
    pub fn connection_figures(&self) -> Vec<ConnectionFigures> {
        self.see(ServerState::connection_figures)
    }

    /// Returns sessions and connections with the times of their expiry.
    #[must_use]
    pub fn expiry_figures(&self) -> ExpiryFigures {
        self.see(|state| state.expiry_figures(state.clock.now()))
    }

    /// Returns the watches on the data of nodes.
    #[must_use]
    pub fn watch_figures(&self) -> WatchFigures {
        self.see(ServerState::watch_figures)
    }

    /// Returns the sizes of the data directories. It lists them.
    #[must_use]
    pub fn disk_figures(&self) -> DiskFigures {
        system_info::disk(self.engine.setup.files.as_deref())
    }

    /// Returns the numbers of file descriptors of the process. It asks the system.
    #[must_use]
    pub fn descriptor_figures(&self) -> DescriptorFigures {
        system_info::descriptors()
    }

    /// Returns the machine and the user. It asks the system.
    #[must_use]
    pub fn environment(&self) -> Environment {
        system_info::environment()
    }

    /// Sets the counters of the server back to zero, as `srst` does.
    pub fn reset_figures(&self) {
        self.engine.turn(|state, _| {
            let before = state.core.place(self.server);
            state.reset_figures();
            state.core.place(before);
        });
    }

    /// Sets the counters of each connection back to zero, as `crst` does.
    pub fn reset_connection_figures(&self) {
        self.engine.turn(|state, _| {
            let before = state.core.place(self.server);
            state.reset_connection_figures();
            state.core.place(before);
        });
    }

    /// Sets the trace mask, as `stmk` does. It has no effect but to be shown.
    pub fn set_trace_mask(&self, mask: i64) {
        self.engine.turn(|state, _| state.trace_mask = mask);
    }
}
