//! Watches that stay: persistent and persistent recursive.

use crate::feed::{FeedReceiver, WatchUpdate};
use crate::intake::WeakCommands;
use crate::session::CallId;

/// A watch that stays: tells every change until it is dropped; see
/// [`Client::watch_persistent`](crate::Client::watch_persistent) and
/// [`Client::watch_recursive`](crate::Client::watch_recursive).
///
/// No change is lost without a word. After the loss of the connection, or of the session, the client sets the watch again and
/// adds [`WatchUpdate::Missed`], because the server does not tell what happened in between. It does the same if nodes changed
/// while this client set or dropped another watch on the same path, because servers before 3.9 keep one watch for a path. Up
/// to 1024 updates wait for the handle; one [`WatchUpdate::Missed`] replaces those beyond. With a persistent and a recursive
/// watch on one path the same change of children may be told twice. Dropping the handle withdraws the watch at the server.
#[derive(Debug)]
#[must_use = "a watch that is dropped tells nothing"]
pub struct PersistentWatch {
    id: CallId,
    updates: FeedReceiver,
    commands: WeakCommands,
}

impl PersistentWatch {
    pub(crate) fn new(id: CallId, updates: FeedReceiver, commands: WeakCommands) -> Self {
        Self { id, updates, commands }
    }

    /// Waits for the next update. Returns `None` after the client was closed. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<WatchUpdate> {
        self.updates.next().await
    }
}

impl Drop for PersistentWatch {
    fn drop(&mut self) {
        self.commands.forget(self.id);
    }
}
