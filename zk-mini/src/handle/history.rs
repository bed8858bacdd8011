//! History of a running server.

use zk_wire::Zxid;

use crate::core::history::{Entry, Explanation, History, Mark, NotKept, Offenders, Past, PastTree};
use crate::handle::Handle;

/// Number of entries that are taken at once: a fraction of a millisecond, during which clients wait.
const AT_ONCE: usize = 1_000;

/// Number of entries that are printed when a test fails.
const PRINTED: usize = 40;

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
    /// let zk = ZkMini::start().await?;
    /// let client = Client::connect(&zk.connect_string()).await?;
    /// client.create("/demo", "", CreateMode::Ephemeral).await?;
    /// client.close().await;
    ///
    /// let explanation = zk.explain("/demo");
    /// assert!(!explanation.exists);
    /// assert!(explanation.to_string().contains("closed by its client 127.0.0.1:"), "{explanation}");
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn explain(&self, path: &str) -> Explanation {
        self.engine.look(|state| state.core.explain(path))
    }

    /// Returns the history, oldest entry first. Its filters narrow it.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use zk_mini::ZkMini;
    /// use zk_mini::history::EntryKind;
    ///
    /// let zk = ZkMini::start().await?;
    /// let begin = zk.mark();
    /// zk.create("/a/b", "").parents().await?;
    /// zk.create("/c", "").await?;
    /// let history = zk.history().since(&begin).kind(EntryKind::Transaction).path("/a/**");
    /// assert_eq!(history.len(), 1, "{history}");
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn history(&self) -> History {
        let end = self.engine.look(|state| state.core.history.next_seq());
        let (mut entries, mut next) = (Vec::new(), 0);
        while next < end {
            let more = self.history_from(next, AT_ONCE);
            let Some(last) = more.last() else { break };
            next = last.seq + 1;
            entries.extend(more);
        }
        entries.retain(|entry| entry.seq < end);
        History::new(entries)
    }

    /// Returns up to `limit` entries from number `seq` on, oldest first: a page of the history. Clients wait meanwhile, less
    /// than a millisecond for 1,000 entries.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use zk_mini::ZkMini;
    ///
    /// let zk = ZkMini::start().await?;
    /// let first = zk.next_seq();
    /// zk.create("/a/b", "").parents().await?;
    /// let page = zk.history_from(first, 1);
    /// assert_eq!((page.len(), page[0].seq), (1, first));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn history_from(&self, seq: u64, limit: usize) -> Vec<Entry> {
        self.engine.look(|state| state.core.entries(seq, limit))
    }

    /// Returns the present moment, for [`History::since`] and the checks below. The server waits while the sessions and the
    /// watches are listed.
    #[must_use]
    pub fn mark(&self) -> Mark {
        self.engine.look(|state| state.core.mark())
    }

    /// Returns the tree as it was after a transaction. The server waits while its nodes are listed, as for a
    /// [snapshot](Self::snapshot).
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use zk_mini::ZkMini;
    ///
    /// let zk = ZkMini::start().await?;
    /// zk.create("/config", "old").await?;
    /// let before = zk.last_zxid();
    /// zk.delete("/config").await?;
    ///
    /// let then = zk.tree_at(before)?;
    /// assert_eq!(then.get("/config").and_then(|node| node.data.as_deref()), Some(&b"old"[..]));
    /// assert!(zk.get("/config").is_none());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`NotKept`] if the history does not reach back so far; it names the oldest transaction that can be asked for.
    pub fn tree_at(&self, zxid: Zxid) -> Result<PastTree, NotKept> {
        // The tree is put together without the lock.
        self.engine.look(|state| state.core.past(zxid)).map(Past::tree)
    }

    /// Checks that every watch was there at a moment already: what a test has set is gone again.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use zk_client::Client;
    /// use zk_mini::ZkMini;
    ///
    /// let zk = ZkMini::start().await?;
    /// let begin = zk.mark();
    /// let client = Client::connect(&zk.connect_string()).await?;
    /// let (_, _, watch) = client.get_and_watch("/zookeeper").await?;
    /// let error = zk.no_leaked_watches(&begin).unwrap_err().to_string();
    /// assert!(error.contains("/zookeeper"), "{error}");
    /// assert!(zk.no_leaked_sessions(&begin).is_err());
    /// # drop(watch);
    /// client.close().await;
    /// zk.no_leaked_sessions(&begin)?;
    /// zk.no_ephemerals_of_the_dead()?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Offenders`], with each watch and its client.
    pub fn no_leaked_watches(&self, since: &Mark) -> Result<(), Offenders> {
        let lines = self.engine.look(|state| state.core.leaked_watches(since));
        Offenders::check("watches were set and are still there", lines)
    }

    /// Checks that every session was there at a moment already: what a test has opened is closed.
    ///
    /// # Errors
    /// [`Offenders`], with each session and its client.
    pub fn no_leaked_sessions(&self, since: &Mark) -> Result<(), Offenders> {
        let lines = self.engine.look(|state| state.core.leaked_sessions(since));
        Offenders::check("sessions were opened and are still alive", lines)
    }

    /// Checks that the owner of every ephemeral node is alive. Only a fault rule that holds the nodes of an expired session
    /// makes this fail.
    ///
    /// # Errors
    /// [`Offenders`], with each node and its owner.
    pub fn no_ephemerals_of_the_dead(&self) -> Result<(), Offenders> {
        let lines = self.engine.look(|state| state.core.ephemerals_of_the_dead());
        Offenders::check("ephemeral nodes have outlived their sessions", lines)
    }

    /// Prints the last entries to the standard error.
    pub(crate) fn print_history(&self) {
        let history = self.history();
        let (all, last) = (history.len(), history.last(PRINTED));
        if !last.is_empty() {
            let server = self.connect_string();
            eprintln!(
                "the last {} of {all} entries in the history of zk-mini at {server}:\n{last}",
                last.len()
            );
        }
    }
}
