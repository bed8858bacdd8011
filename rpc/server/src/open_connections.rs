//! Number of a server's open connections.

use tokio::sync::watch;

/// Number of open connections of a [`Server`](crate::Server), now and later.
///
/// ```
/// # use rpc_server::{Server, Service};
/// let server = Server::new(Service::builder("echo").build());
/// let open = server.open_connections();
/// assert_eq!(open.current(), 0);
/// ```
#[derive(Clone, Debug)]
pub struct OpenConnections {
    number: watch::Receiver<usize>,
}

impl OpenConnections {
    pub(crate) fn new(number: watch::Receiver<usize>) -> Self {
        Self { number }
    }

    /// Returns the current number.
    pub fn current(&self) -> usize {
        *self.number.borrow()
    }

    /// Waits for the next change and returns the new number; `None` after the end of the server.
    pub async fn changed(&mut self) -> Option<usize> {
        self.number.changed().await.ok()?;
        Some(*self.number.borrow_and_update())
    }

    /// Waits until no connection is open, or the server has ended.
    pub async fn all_closed(&mut self) {
        // An error means that the server has ended.
        let _ = self.number.wait_for(|number| *number == 0).await;
    }
}
