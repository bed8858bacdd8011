//! Handle of a server: everything that a test can do with it except starting and stopping it.
//!
//! One file a topic; each adds methods to [`Handle`].

mod connect;
mod faults;
mod figures;
mod freeze;
mod history;
mod history_stream;
mod inspect;
mod lifecycle;
mod nodes;
mod serve;
mod session_info;
mod sessions;
mod snapshots;
mod status;
mod time;
mod wait;

use std::net::SocketAddr;
use std::sync::Arc;

use crate::shell::engine::Engine;
use crate::shell::state::ServerState;

pub use faults::{Fault, FiresNoMore, WhyNoMore};
pub use freeze::NotListening;
pub use history_stream::{HistoryNews, HistoryStream};
pub use inspect::ConnectionInfo;
pub use lifecycle::RestoreError;
pub use nodes::{Create, Delete, Removed, Set};
pub use serve::ServeError;
pub use session_info::SessionInfo;
pub use sessions::{ClientAddr, Session, SessionSet};
pub use snapshots::Snapshot;
pub use status::Status;
pub use time::{ClockRuns, Jump};
pub use wait::TimedOut;

/// Handle of a server. [`ZkMini`](crate::ZkMini) dereferences to it, and all its methods are there, too. A clone can be
/// given to other tasks: it does not keep the server running, and shows the last state of one that has stopped.
#[derive(Clone, Debug)]
pub struct Handle {
    pub(crate) engine: Arc<Engine>,
    /// Client of HTTP for whom it writes.
    pub(crate) client: Option<SocketAddr>,
    /// Server of an ensemble whose state it shows; `None` for the leader's.
    pub(crate) server: Option<usize>,
}

impl Handle {
    pub(crate) fn new(engine: Arc<Engine>) -> Self {
        Self { engine, client: None, server: None }
    }

    /// Returns a handle that shows what a server of an ensemble has.
    pub(crate) fn showing(self, server: Option<usize>) -> Self {
        Self { server, ..self }
    }

    /// Reads the state, as the server has it that this handle shows.
    pub(crate) fn see<T>(&self, look: impl FnOnce(&ServerState) -> T) -> T {
        match self.server {
            None => self.engine.look(look),
            Some(server) => self.engine.look_as(server, look),
        }
    }

    /// Returns a handle for a client of HTTP: the [`history`](crate::history) names it as the author of what is written with it,
    /// instead of this program.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use zk_mini::ZkMini;
    ///
    /// let zk = ZkMini::start().await?;
    /// let client = "10.0.0.1:4321".parse()?;
    /// zk.for_client(client).create("/a", "").await?;
    /// let explanation = zk.explain("/a").to_string();
    /// assert!(explanation.contains("10.0.0.1:4321"), "{explanation}");
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn for_client(&self, client: SocketAddr) -> Self {
        Self { client: Some(client), ..self.clone() }
    }

    /// Waits until a defect stops the server; a failing disk does not. The log describes the defect. No client is served
    /// afterwards, so a program should end, too.
    pub async fn ended(&self) {
        self.engine.ended().await;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::ZkMini;

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
