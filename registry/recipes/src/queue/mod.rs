//! Queues: entries that one client each takes, in order.

mod candidates;
pub mod curator_items;
mod entries;
mod locking;
mod names;

use bytes::Bytes;
use zk_client::{Client, Error as ClientError, ErrorCode, Expected};

use crate::error::Error;
use crate::patience::Patience;
use crate::protected::pause;
use crate::queue_entry::QueueEntry;
use entries::Entries;
pub use locking::{Claim, LockingQueue};
pub use names::{Priority, QueueNames};

/// Name of the recipe in errors.
const RECIPE: &str = "queue";

/// First-in-first-out queue with priorities; the entries are those of kazoo's `Queue` or, by [`Self::names`], of Curator's
/// `DistributedQueue`. Clones are handles to the same queue.
///
/// A take removes the entry and then returns it: a client that dies in between, or drops the future, loses it. A [`LockingQueue`]
/// loses none. Each entry is taken by one client. If the reply to the removal is lost, the client removes the entry again:
/// if it is still there it is ours, else [`Error::PerhapsTaken`] has the entry. [`Error::PerhapsThere`] has it if the client can
/// ask no more.
///
/// A put whose reply is lost is not repeated: its error says that it
/// [may have been applied](Error::may_have_been_applied). The entry has no place for a mark by which it could be found.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let zk = zk_mini::ZkMini::start().await?;
/// # let client = zk_client::Client::connect(&zk.connect_string()).await?;
/// use zk_recipes::{Priority, Queue};
///
/// let queue = Queue::new(&client, "/jobs");
/// queue.put("a").await?;
/// queue.put("b").await?;
/// queue.put_with_priority("urgent", Priority::new(1)).await?;
/// assert_eq!(queue.len().await?, 3);
/// for expected in ["urgent", "a", "b"] {
///     assert_eq!(queue.take().await?.data, expected);
/// }
/// assert!(queue.try_take().await?.is_none());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Queue {
    entries: Entries,
}

impl Queue {
    /// Names a queue by the path of the node above its entries. Nothing is sent.
    #[must_use]
    pub fn new(client: &Client, path: &str) -> Self {
        Self { entries: Entries::new(client, path.to_owned()) }
    }

    /// Sets the names of the entries. Default: those of kazoo.
    #[must_use]
    pub fn names(mut self, names: QueueNames) -> Self {
        self.entries.names = names;
        self
    }

    /// Limits the number of entries: a put into a full queue fails with [`Error::Full`]. Clients that put at the same time may
    /// exceed it a little. Default: no limit.
    #[must_use]
    pub fn limit(mut self, limit: usize) -> Self {
        self.entries.limit = Some(limit);
        self
    }

    /// Puts an entry behind all others of the usual priority. Returns the path of its node.
    ///
    /// # Errors
    /// [`Error::Full`], or an error of the client; the entry may be in the queue if it
    /// [may have been applied](Error::may_have_been_applied).
    pub async fn put(&self, data: impl Into<Bytes>) -> Result<String, Error> {
        self.entries.put(data.into(), None).await
    }

    /// Puts an entry behind all others of this priority.
    ///
    /// # Errors
    /// The same as of [`Self::put`].
    pub async fn put_with_priority(
        &self,
        data: impl Into<Bytes>,
        priority: Priority,
    ) -> Result<String, Error> {
        self.entries.put(data.into(), Some(priority)).await
    }

    /// Puts several entries, all or none. Returns their paths.
    ///
    /// # Errors
    /// The same as of [`Self::put`]; with `TooLarge` if they do not fit in one request.
    pub async fn put_all<T: Into<Bytes>>(
        &self,
        data: impl IntoIterator<Item = T>,
    ) -> Result<Vec<String>, Error> {
        self.entries.put_all(data.into_iter().map(Into::into).collect()).await
    }

    /// Returns the number of entries, without a list of them.
    ///
    /// # Errors
    /// [`Error`] if the servers refuse it, or the client is closed.
    pub async fn len(&self) -> Result<usize, Error> {
        self.entries.len().await
    }

    /// Returns true if there is no entry.
    ///
    /// # Errors
    /// The same as of [`Self::len`].
    pub async fn is_empty(&self) -> Result<bool, Error> {
        Ok(self.len().await? == 0)
    }

    /// Takes the first entry; waits for one if there is none, also through lost connections and expired sessions.
    ///
    /// # Errors
    /// [`Error::PerhapsTaken`] and [`Error::PerhapsThere`], which have the entry; or an error of the client, and nothing was taken.
    pub async fn take(&self) -> Result<QueueEntry, Error> {
        loop {
            if let Some(entry) = self.try_take().await? {
                return Ok(entry);
            }
            self.entries.until_any().await?;
        }
    }

    /// Takes the first entry, if there is one.
    ///
    /// # Errors
    /// The same as of [`Self::take`].
    pub async fn try_take(&self) -> Result<Option<QueueEntry>, Error> {
        while let Some(name) = self.entries.next(async || Ok(Vec::new())).await? {
            if let Some(entry) = self.take_entry(name).await? {
                return Ok(Some(entry));
            }
        }
        Ok(None)
    }

    /// Takes an entry; `None` if another client was faster.
    async fn take_entry(&self, name: String) -> Result<Option<QueueEntry>, Error> {
        let client = &self.entries.client;
        let path = zk_wire::path::join(&self.entries.path, &name);
        let Some((data, stat)) = self.entries.read(&path).await? else { return Ok(None) };
        let entry = QueueEntry { path, data };
        let mut unanswered: Option<ClientError> = None;
        let mut patience = Patience::new(fastrand::u64(..));
        loop {
            let error = match client.delete(&entry.path, Expected::Exactly(stat.version)).await {
                Ok(()) => return Ok(Some(entry)),
                Err(error) => error,
            };
            match (error.code(), unanswered.take()) {
                (Some(ErrorCode::NO_NODE), None) => return Ok(None),
                (Some(ErrorCode::NO_NODE), Some(source)) => {
                    return Err(Error::PerhapsTaken { entry: Box::new(entry), source });
                }
                // It is there, with other data: none of our deletes fits it.
                (Some(ErrorCode::BAD_VERSION), _) => {
                    self.entries.put_back(name);
                    return Err(Error::of(RECIPE, &self.entries.path)(error));
                }
                _ if error.may_have_been_applied() && error.is_retryable() => unanswered = Some(error),
                (_, Some(earlier)) if error.is_retryable() => unanswered = Some(earlier),
                (_, earlier) if earlier.is_some() || error.may_have_been_applied() => {
                    return Err(Error::PerhapsThere { entry: Box::new(entry), source: error });
                }
                _ => {
                    self.entries.put_back(name);
                    return Err(Error::of(RECIPE, &self.entries.path)(error));
                }
            }
            pause(client, patience.pause()).await;
        }
    }
}
