//! Updates of a persistent watch on their way from the driver to the handle: a bounded queue that reports what it drops.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use zk_wire::WatchedEvent;

/// Maximum number of updates that wait for their handle.
const MAX_WAITING: usize = 1024;

/// Update of a [`PersistentWatch`](crate::PersistentWatch).
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum WatchUpdate {
    /// A node changed.
    Changed(WatchedEvent),
    /// Changes may have been missed: the connection was lost and the watch is set again, the handle was too slow and its
    /// buffer is full, or another watch on the same path was set or dropped meanwhile. Read again; later changes follow as
    /// usual.
    Missed,
}

/// Creates a feed; dropping the sender ends it.
pub(crate) fn feed() -> (FeedSender, FeedReceiver) {
    let feed = Arc::new(Feed::default());
    (FeedSender(Arc::clone(&feed)), FeedReceiver(feed))
}

/// End of the driver.
#[derive(Debug)]
pub(crate) struct FeedSender(Arc<Feed>);

/// End of the handle.
#[derive(Debug)]
pub(crate) struct FeedReceiver(Arc<Feed>);

#[derive(Debug, Default)]
struct Feed {
    queue: Mutex<Queue>,
    /// Wakes the receiver. One permit is enough: the receiver looks at the queue before it waits.
    arrived: Notify,
}

#[derive(Debug, Default)]
struct Queue {
    updates: VecDeque<WatchUpdate>,
    is_closed: bool,
}

impl Queue {
    fn push(&mut self, update: WatchUpdate) {
        let update = if self.updates.len() < MAX_WAITING { update } else { WatchUpdate::Missed };
        // Two in a row mean the same as one.
        if update != WatchUpdate::Missed || self.updates.back() != Some(&WatchUpdate::Missed) {
            self.updates.push_back(update);
        }
    }
}

impl Feed {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl FeedSender {
    pub(crate) fn push(&self, update: WatchUpdate) {
        self.0.lock().push(update);
        self.0.arrived.notify_one();
    }
}

impl Drop for FeedSender {
    fn drop(&mut self) {
        self.0.lock().is_closed = true;
        self.0.arrived.notify_one();
    }
}

impl FeedReceiver {
    /// Waits for the next update; `None` at the end. Dropping the future loses nothing.
    pub(crate) async fn next(&mut self) -> Option<WatchUpdate> {
        loop {
            {
                let mut queue = self.0.lock();
                let update = queue.updates.pop_front();
                if update.is_some() || queue.is_closed {
                    return update;
                }
            }
            self.0.arrived.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use zk_wire::{EventType, KeeperState};

    use super::*;

    fn change(n: usize) -> WatchUpdate {
        let (event, state) = (EventType::NODE_CREATED, KeeperState::SYNC_CONNECTED);
        WatchUpdate::Changed(WatchedEvent { event, state, path: format!("/{n}").into() })
    }

    #[tokio::test]
    async fn a_full_feed_says_where_changes_are_missing_and_takes_later_ones() {
        let (sender, mut receiver) = feed();
        for n in 0..MAX_WAITING + 100 {
            sender.push(change(n));
        }
        assert_eq!(receiver.0.lock().updates.len(), MAX_WAITING + 1, "it does not grow");
        for n in 0..MAX_WAITING {
            assert_eq!(receiver.next().await, Some(change(n)));
        }
        sender.push(change(7));
        sender.push(WatchUpdate::Missed);
        sender.push(WatchUpdate::Missed);
        drop(sender);
        for expected in [Some(WatchUpdate::Missed), Some(change(7)), Some(WatchUpdate::Missed), None, None] {
            assert_eq!(receiver.next().await, expected);
        }
    }

    #[tokio::test]
    async fn a_receiver_that_waits_is_woken_by_an_update_and_by_the_end() {
        let (sender, mut receiver) = feed();
        let waiting = tokio::spawn(async move { (receiver.next().await, receiver.next().await) });
        tokio::task::yield_now().await;
        sender.push(change(1));
        tokio::task::yield_now().await;
        drop(sender);
        assert_eq!(waiting.await.unwrap(), (Some(change(1)), None));
    }
}
