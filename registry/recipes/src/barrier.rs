//! A barrier that one opens for all.

use zk_client::Client;

use crate::error::Error;
use crate::protected::{again, delete, fired};

/// Name of the recipe in errors.
const RECIPE: &str = "barrier";

/// Barrier that holds back clients as long as its node exists, as kazoo's `Barrier` and Curator's `DistributedBarrier` do. Clones
/// are handles to the same barrier.
///
/// Every call may be repeated after any error. Without a connection a call waits; a limit is the caller's, by
/// `tokio::time::timeout`. The barrier belongs to no session: it stays closed if the client that closed it dies.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let zk = zk_mini::ZkMini::start().await?;
/// # let client = zk_client::Client::connect(&zk.connect_string()).await?;
/// use zk_recipes::Barrier;
///
/// let barrier = Barrier::new(&client, "/migration/running");
/// barrier.close().await?;
/// let waiting = tokio::spawn({
///     let barrier = barrier.clone();
///     async move { barrier.wait().await }
/// });
/// assert!(barrier.is_closed().await?);
/// barrier.open().await?;
/// waiting.await??;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Barrier {
    client: Client,
    path: String,
}

impl Barrier {
    /// Names a barrier by the path of its node. Nothing is sent.
    #[must_use]
    pub fn new(client: &Client, path: &str) -> Self {
        Self { client: client.clone(), path: path.to_owned() }
    }

    /// Closes the barrier. A closed one stays closed.
    ///
    /// # Errors
    /// [`Error`] if the servers refuse it, or the client is closed.
    pub async fn close(&self) -> Result<(), Error> {
        again(&self.client, async || self.client.ensure_path(&self.path).await)
            .await
            .map_err(Error::of(RECIPE, &self.path))
    }

    /// Opens the barrier: all who wait go on. An open one stays open.
    ///
    /// # Errors
    /// [`Error`] if the servers refuse it, with `NOT_EMPTY` if the node has children, or the client is closed.
    pub async fn open(&self) -> Result<(), Error> {
        again(&self.client, || delete(&self.client, &self.path)).await.map_err(Error::of(RECIPE, &self.path))
    }

    /// Returns true if the barrier is closed.
    ///
    /// # Errors
    /// [`Error`] if the servers refuse it, or the client is closed.
    pub async fn is_closed(&self) -> Result<bool, Error> {
        let stat = again(&self.client, async || self.client.exists(&self.path).await).await;
        Ok(stat.map_err(Error::of(RECIPE, &self.path))?.is_some())
    }

    /// Waits until the barrier is open. Outlives lost connections and expired sessions. A barrier that is opened and closed again at
    /// once may be missed. Dropping the future loses nothing.
    ///
    /// # Errors
    /// [`Error`] if the servers refuse it, or the client is closed.
    pub async fn wait(&self) -> Result<(), Error> {
        loop {
            let found = again(&self.client, async || self.client.exists_and_watch(&self.path).await).await;
            let (stat, watch) = found.map_err(Error::of(RECIPE, &self.path))?;
            if stat.is_none() {
                return Ok(());
            }
            fired(watch, &self.path).await.map_err(Error::of(RECIPE, &self.path))?;
        }
    }
}
