//! Watches that stay: persistent and persistent recursive.

use tokio::sync::mpsc;

use crate::command::Command;
use crate::feed::{FeedReceiver, WatchUpdate};
use crate::session::CallId;

/// A watch that stays: tells every change until it is dropped; see
/// [`Client::watch_persistent`](crate::Client::watch_persistent) and
/// [`Client::watch_recursive`](crate::Client::watch_recursive).
///
/// On one connection no change is lost. After a loss of the connection, or of the session, the client sets the watch again
/// and says [`WatchUpdate::Missed`], because the server does not tell what happened in between. Up to 1024 updates wait for
/// the handle; when there are more, one [`WatchUpdate::Missed`] stands for them. Dropping the handle withdraws the watch.
#[derive(Debug)]
#[must_use = "a watch that is dropped tells nothing"]
pub struct PersistentWatch {
    id: CallId,
    updates: FeedReceiver,
    /// Weak: a watch does not keep the client open.
    commands: mpsc::WeakUnboundedSender<Command>,
}

impl PersistentWatch {
    pub(crate) fn new(
        id: CallId,
        updates: FeedReceiver,
        commands: mpsc::WeakUnboundedSender<Command>,
    ) -> Self {
        Self { id, updates, commands }
    }

    /// Waits for the next update. Returns `None` after the client was closed. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<WatchUpdate> {
        self.updates.next().await
    }
}

impl Drop for PersistentWatch {
    fn drop(&mut self) {
        if let Some(commands) = self.commands.upgrade() {
            // A closed channel: the server has no watch any more.
            let _ = commands.send(Command::Forget(self.id));
        }
    }
}
