//! Stream of new entries of the history.

use std::collections::VecDeque;
use std::time::Duration;

use crate::core::history::Entry;
use crate::handle::Handle;

/// Number of entries that are taken at once, unless set, and kept until they are asked for.
const AT_ONCE: usize = 256;

/// Stream of the entries of the history, as they are added; see [`Handle::watch_history`]. It never delays the server: it
/// reads what the history keeps, and tells a slow reader how much it missed.
#[derive(Debug)]
pub struct HistoryStream {
    handle: Handle,
    /// Number of the next entry to take.
    next: u64,
    taken: VecDeque<Entry>,
    /// Number of the next entry to give.
    given: u64,
    pause: Duration,
    at_once: usize,
}

/// News of the history.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum HistoryNews {
    /// An entry.
    Entry(Box<Entry>),
    /// So many entries were pushed out before they were asked for. A longer history keeps more
    /// ([`Builder::history`](crate::Builder::history)).
    Missed(u64),
}

impl Handle {
    /// Returns a stream of the entries from number `seq` on: [`Entry::seq`] of the last one seen plus one to resume, 0 for all that
    /// are kept, `zk.next_seq()` for new ones only. There may be any number of streams.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use zk_mini::{HistoryNews, ZkMini};
    ///
    /// let zk = ZkMini::start().await?;
    /// let mut news = zk.watch_history(zk.next_seq());
    /// zk.create("/a", "").await?;
    /// let Some(HistoryNews::Entry(entry)) = news.next().await else { panic!("no entry") };
    /// assert_eq!((entry.path.as_deref(), &*entry.what), (Some("/a"), "created"));
    /// zk.stop().await;
    /// assert_eq!(news.next().await, None);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn watch_history(&self, seq: u64) -> HistoryStream {
        // The first entry has the number 1.
        let seq = seq.max(1);
        HistoryStream {
            handle: self.clone(),
            next: seq,
            taken: VecDeque::new(),
            given: seq,
            pause: Duration::ZERO,
            at_once: AT_ONCE,
        }
    }

    /// Returns the number of the next entry of the history.
    #[must_use]
    pub fn next_seq(&self) -> u64 {
        self.engine.look(|state| state.core.history.next_seq())
    }

    /// Returns a number that tells the history of this server from others, such as that of an earlier process at the same
    /// address: each numbers its entries from 1. It is chosen at random.
    #[must_use]
    pub fn history_id(&self) -> u32 {
        self.engine.history_id
    }
}

impl HistoryStream {
    /// Waits so much longer when something has happened, before it looks what that is. Many streams then cost a busy server
    /// little: each looks once for all that happens meanwhile.
    #[must_use]
    pub fn with_pause(self, pause: Duration) -> Self {
        Self { pause, ..self }
    }

    /// Takes at most so many entries at once, instead of 256: a stream that waits for its reader holds no more.
    #[must_use]
    pub fn with_at_once(self, entries: usize) -> Self {
        Self { at_once: entries.max(1), ..self }
    }

    /// Returns the number of entries that the stream has taken, and that nobody has asked for yet. It is bounded.
    #[must_use]
    pub fn taken(&self) -> usize {
        self.taken.len()
    }

    /// Returns the next entry, or how many were missed before it, as soon as there is one. `None` if the server has stopped.
    /// Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<HistoryNews> {
        let watching = self.handle.engine.changes.watch();
        while self.taken.is_empty() {
            let changed = watching.changed();
            let stopped;
            (self.taken, stopped) = self.handle.engine.look(|state| {
                let entries = state.core.entries(self.next, self.at_once);
                (entries.into(), state.stopped)
            });
            if let Some(last) = self.taken.back() {
                self.next = last.seq + 1;
            } else if stopped {
                return None;
            } else {
                changed.await;
                if !self.pause.is_zero() {
                    self.handle.engine.runtime.sleep(self.pause).await;
                }
            }
        }
        let seq = self.taken.front()?.seq;
        if seq > self.given {
            return Some(HistoryNews::Missed(seq - std::mem::replace(&mut self.given, seq)));
        }
        self.given = seq + 1;
        self.taken.pop_front().map(|entry| HistoryNews::Entry(Box::new(entry)))
    }
}
