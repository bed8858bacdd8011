//! History of a running server.

use zk_wire::Zxid;

use crate::core::history::{Explanation, History, Mark, NotKept, Past, PastTree};
use crate::handle::Handle;

/// Number of entries that are taken at once: a fraction of a millisecond, during which clients wait.
const AT_ONCE: usize = 1_000;

/// History: what happened, and why. See [`history`](crate::history).
impl Handle {
    /// Explains a node, present or gone: who created, changed and deleted it, and why. Print it.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use zk_client::{Client, CreateMode};
    /// use zk_mini::ZkMini;
    ///
    /// let zk = ZkMini::builder().in_memory().manual_clock().start().await?;
    /// let connector = zk.connector();
    /// let via = zk_client::connect_fn(move || std::future::ready(connector.connect()));
    /// let client = Client::builder().via(via).connect().await?;
    /// client.create("/demo", "", CreateMode::Ephemeral).await?;
    /// client.close().await;
    ///
    /// let explanation = zk.explain("/demo");
    /// assert!(!explanation.exists);
    /// assert!(explanation.to_string().contains("closed by its client in this process"));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn explain(&self, path: &str) -> Explanation {
        self.engine.look(|state| state.core.explain(path))
    }

    /// Returns the history, oldest entry first.
    #[must_use]
    pub fn history(&self) -> History {
        let (mut entries, end) = (Vec::new(), self.mark().next_seq);
        let mut next = 0;
        while next < end {
            let more = self.engine.look(|state| state.core.entries(next, AT_ONCE));
            let Some(last) = more.last() else { break };
            next = last.seq + 1;
            entries.extend(more);
        }
        entries.retain(|entry| entry.seq < end);
        History::new(entries)
    }

    /// Returns the present moment, for [`History::since`].
    #[must_use]
    pub fn mark(&self) -> Mark {
        self.engine.look(|state| state.core.mark())
    }

    /// Returns the tree as it was after a transaction.
    ///
    /// # Errors
    /// [`NotKept`] if the history does not reach back so far; it names the oldest transaction that can be asked for.
    pub fn tree_at(&self, zxid: Zxid) -> Result<PastTree, NotKept> {
        // The tree is put together without the lock.
        self.engine.look(|state| state.core.past(zxid)).map(Past::tree)
    }
}
