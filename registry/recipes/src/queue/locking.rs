//! A queue whose entries are claimed first and removed when they are done.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use bytes::Bytes;
use zk_client::{Client, CreateMode, Error as ClientError, ErrorCode, Expected, SessionId, Stat, WeakClient};

use super::entries::{Entries, children, watch_children};
use super::{Priority, QueueNames, RECIPE};
use crate::error::Error;
use crate::guid::Guid;
use crate::patience::Patience;
use crate::protected::{
    again, delete_in_background, delete_owned, fired, open, pause, pause_without, session, to_its_end,
};
use crate::queue_entry::QueueEntry;

/// Queue that loses no entry: an entry is claimed, and removed when it is done. If the client dies, or gives the claim back, the entry
/// is there for the next one, so an entry may be worked on more than once. The nodes are those of kazoo's `LockingQueue` or, by
/// [`Self::curator`], of Curator's `DistributedQueue` with a lock path. Clones are handles to the same queue.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let zk = zk_mini::ZkMini::start().await?;
/// # let client = zk_client::Client::connect(&zk.connect_string()).await?;
/// use zk_recipes::LockingQueue;
///
/// let queue = LockingQueue::new(&client, "/jobs");
/// queue.put("a").await?;
/// let claim = queue.claim().await?;
/// assert!(queue.try_claim().await?.is_none(), "it is claimed");
/// claim.give_back().await?;
///
/// let claim = queue.claim().await?;
/// assert_eq!(claim.data(), "a");
/// claim.done().await?;
/// assert!(queue.is_empty().await?);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct LockingQueue {
    entries: Entries,
    claims: String,
}

/// Entry of a [`LockingQueue`] that is claimed for this client, as long as its session lives. Dropping it gives the entry back, in the
/// background.
#[derive(Debug)]
#[must_use = "an entry whose claim is dropped goes back to the queue"]
pub struct Claim {
    client: Client,
    entry: QueueEntry,
    path: String,
    owner: SessionId,
    is_over: bool,
}

impl LockingQueue {
    /// Names a queue by the path of its node; entries are below `entries`, claims below `taken`, as in kazoo. Nothing is sent.
    #[must_use]
    pub fn new(client: &Client, path: &str) -> Self {
        let join = |name| zk_wire::path::join(path, name);
        Self { entries: Entries::new(client, join("entries")), claims: join("taken") }
    }

    /// Names a queue of Curator by the paths of its entries and of its locks.
    #[must_use]
    pub fn curator(client: &Client, path: &str, lock_path: &str) -> Self {
        let mut entries = Entries::new(client, path.to_owned());
        entries.names = QueueNames::Curator;
        Self { entries, claims: lock_path.to_owned() }
    }

    /// Limits the number of entries, as [`Queue::limit`](crate::Queue::limit) does.
    #[must_use]
    pub fn limit(mut self, limit: usize) -> Self {
        self.entries.limit = Some(limit);
        self
    }

    /// Puts an entry behind all others of the usual priority. Returns the path of its node.
    ///
    /// # Errors
    /// The same as of [`Queue::put`](crate::Queue::put).
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

    /// Returns the number of entries, with those that are claimed.
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

    /// Claims the first entry that is free; waits for one if there is none, also through lost connections and expired sessions.
    /// Dropping the future gives back what it has claimed, in the background.
    ///
    /// # Errors
    /// [`Error`] if the servers refuse it, or the client is closed.
    pub async fn claim(&self) -> Result<Claim, Error> {
        loop {
            if let Some(claim) = self.try_claim().await? {
                return Ok(claim);
            }
            // Entries come, and claims go.
            let (claims, claims_watch) = watch_children(&self.entries.client, &self.claims).await?;
            let claims: BTreeSet<_> = claims.into_iter().collect();
            let (names, watch) = watch_children(&self.entries.client, &self.entries.path).await?;
            let is_free = |name: &String| !claims.contains(name);
            if self.entries.names.entries(names).iter().any(is_free) {
                continue;
            }
            let fired = tokio::select! {
                fired = fired(claims_watch, &self.claims) => fired,
                fired = fired(watch, &self.entries.path) => fired,
            };
            fired.map_err(Error::of(RECIPE, &self.entries.path))?;
        }
    }

    /// Claims the first entry that is free, if there is one.
    ///
    /// # Errors
    /// The same as of [`Self::claim`].
    pub async fn try_claim(&self) -> Result<Option<Claim>, Error> {
        let client = &self.entries.client;
        while let Some(name) = self.entries.next(async || children(client, &self.claims).await).await? {
            if let Some(claim) = self.claim_entry(&name).await? {
                return Ok(Some(claim));
            }
        }
        Ok(None)
    }

    /// Claims an entry; `None` if another client was faster.
    async fn claim_entry(&self, name: &str) -> Result<Option<Claim>, Error> {
        let (client, claims) = (self.entries.client.downgrade(), self.claims.clone());
        let entry = QueueEntry { path: zk_wire::path::join(&self.entries.path, name), data: Bytes::new() };
        let path = zk_wire::path::join(&self.claims, name);
        let claiming = async move {
            let Some(owner) = create_claim(&client, &claims, &path).await? else { return Ok(None) };
            let client = open(&client, &path)?;
            Ok(Some(Claim { client, entry, path, owner, is_over: false }))
        };
        let claimed = to_its_end(&self.entries.client, &self.claims, claiming).await;
        let Some(mut claim) = claimed.map_err(Error::of(RECIPE, &self.claims))? else { return Ok(None) };
        match self.entries.read(&claim.entry.path).await? {
            Some((data, _)) => {
                claim.entry.data = data;
                Ok(Some(claim))
            }
            // It was done before it was claimed.
            None => claim.give_back().await.map(|()| None),
        }
    }
}

/// Creates a claim and returns the session that owns it; `None` if another client has one. Does not keep the client open.
async fn create_claim(
    client: &WeakClient,
    claims: &str,
    path: &str,
) -> Result<Option<SessionId>, ClientError> {
    let mut patience = Patience::new(fastrand::u64(..));
    let mark = Guid::new(session(&open(client, path)?), fastrand::u64(..)).to_string();
    let mut is_unanswered = false;
    loop {
        let client = open(client, path)?;
        match try_to_create(&client, claims, path, &mark, &mut is_unanswered).await {
            Ok(ControlFlow::Break(owner)) => return Ok(owner),
            Err(error) if !error.is_retryable() => return Err(error),
            _ => pause_without(client, patience.pause()).await,
        }
    }
}

/// Creates a claim, or finds the one whose reply was lost: breaks with the session that owns it, or without one if that is another
/// client's. Continues if another attempt may do it.
async fn try_to_create(
    client: &Client,
    claims: &str,
    path: &str,
    mark: &str,
    is_unanswered: &mut bool,
) -> Result<ControlFlow<Option<SessionId>>, ClientError> {
    let error = match client.create(path, mark.to_owned(), CreateMode::Ephemeral).await {
        Ok(created) => return Ok(ControlFlow::Break(Some(created.stat.ephemeral_owner))),
        Err(error) => error,
    };
    match error.code() {
        Some(ErrorCode::NODE_EXISTS) if *is_unanswered => match client.get(path).await {
            Ok((data, Stat { ephemeral_owner: owner, .. })) => {
                let is_ours = data == mark && owner == session(client);
                Ok(ControlFlow::Break(is_ours.then_some(owner)))
            }
            Err(error) if error.code() == Some(ErrorCode::NO_NODE) => Ok(ControlFlow::Break(None)),
            Err(error) => Err(error),
        },
        Some(ErrorCode::NODE_EXISTS) => Ok(ControlFlow::Break(None)),
        Some(ErrorCode::NO_NODE) => client.ensure_path(claims).await.map(ControlFlow::Continue),
        _ if error.may_have_been_applied() => {
            *is_unanswered = true;
            Ok(ControlFlow::Continue(()))
        }
        _ => Err(error),
    }
}

impl Claim {
    /// Returns the data of the entry.
    #[must_use]
    pub fn data(&self) -> &Bytes {
        &self.entry.data
    }

    /// Returns the entry.
    #[must_use]
    pub fn entry(&self) -> &QueueEntry {
        &self.entry
    }

    /// Returns true if the servers know the claim.
    ///
    /// # Errors
    /// [`Error`] if the servers refuse it, or the client is closed.
    pub async fn is_held(&self) -> Result<bool, Error> {
        let stat = again(&self.client, async || self.client.exists(&self.path).await).await;
        let stat = stat.map_err(Error::of(RECIPE, &self.path))?;
        Ok(stat.is_some_and(|stat| stat.ephemeral_owner == self.owner))
    }

    /// Removes the entry and the claim: the work is done. Outlives lost connections and replies.
    ///
    /// # Errors
    /// [`Error::ClaimLost`] if the session expired or the claim was deleted before: the entry is in the queue again, or another
    /// client has done it. [`Error::Unknown`] if the reply was lost, and then the session expired, and the entry is gone. Else an
    /// error of the client, and the entry is given back.
    pub async fn done(mut self) -> Result<(), Error> {
        let mut unanswered: Option<ClientError> = None;
        let mut patience = Patience::new(fastrand::u64(..));
        let client = self.client.in_session(self.owner);
        loop {
            let both = client.transaction().delete(&self.entry.path, Expected::Any);
            let Err(error) = both.delete(&self.path, Expected::Any).commit().await else {
                self.is_over = true;
                return Ok(());
            };
            match error.code() {
                Some(ErrorCode::NO_NODE) => {
                    self.is_over = unanswered.is_some();
                    // In this session nobody but us removes them.
                    return if self.is_over { Ok(()) } else { Err(self.lost()) };
                }
                _ if matches!(error, ClientError::SessionExpired { .. }) => break,
                _ if error.may_have_been_applied() => unanswered = Some(error),
                _ if error.is_retryable() => {}
                _ => return Err(Error::of(RECIPE, &self.path)(error)),
            }
            pause(&self.client, patience.pause()).await;
        }
        self.is_over = true;
        let Some(source) = unanswered else { return Err(self.lost()) };
        // As long as the old session lives, and the claim with it, a request that is late may still be performed.
        again(&self.client, async || self.outlive().await).await.map_err(Error::of(RECIPE, &self.path))?;
        let exists = again(&self.client, async || self.client.exists(&self.entry.path).await).await;
        match exists.map_err(Error::of(RECIPE, &self.path))? {
            Some(_) => Err(self.lost()),
            None => Err(Error::Unknown { recipe: RECIPE, path: self.entry.path.clone(), source }),
        }
    }

    /// Removes the claim: the entry is free again, in its old place.
    ///
    /// # Errors
    /// [`Error`] if the servers refuse it, or the client is closed.
    pub async fn give_back(mut self) -> Result<(), Error> {
        let deleted = delete_owned(&self.client, &self.path, self.owner).await;
        self.is_over = deleted.is_ok();
        deleted.map_err(Error::of(RECIPE, &self.path))
    }

    /// Waits until the claim is gone, or another client's.
    async fn outlive(&self) -> Result<(), ClientError> {
        loop {
            match self.client.get_and_watch(&self.path).await {
                Ok((_, stat, watch)) if stat.ephemeral_owner == self.owner => {
                    fired(watch, &self.path).await?;
                }
                Err(error) if error.code() != Some(ErrorCode::NO_NODE) => return Err(error),
                _ => return Ok(()),
            }
        }
    }

    fn lost(&self) -> Error {
        Error::ClaimLost { path: self.path.clone() }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        delete_in_background(&self.client, &self.path, self.owner);
    }
}
