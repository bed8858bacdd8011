//! The node above the entries: what both kinds of queue do with it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use common::Clock;
use zk_client::{Client, CreateMode, Error as ClientError, ErrorCode, OpResult, Stat, Watch};

use super::RECIPE;
use super::candidates::Candidates;
use super::names::{Priority, QueueNames};
use crate::error::Error;
use crate::protected::{again, fired};

/// Entries below a path.
#[derive(Clone, Debug)]
pub(super) struct Entries {
    pub(super) client: Client,
    pub(super) path: String,
    pub(super) names: QueueNames,
    pub(super) limit: Option<usize>,
    candidates: Arc<Mutex<Candidates>>,
    clock: Clock,
}

impl Entries {
    pub(super) fn new(client: &Client, path: String) -> Self {
        let (client, names, clock) = (client.clone(), QueueNames::default(), client.clock());
        Self { client, path, names, limit: None, candidates: Arc::default(), clock }
    }

    pub(super) async fn put(&self, data: Bytes, priority: Option<Priority>) -> Result<String, Error> {
        self.check_limit(1).await?;
        let path = zk_wire::path::join(&self.path, &self.names.prefix(priority));
        let create = async || self.client.create(&path, data.clone(), CreateMode::PersistentSequential).await;
        let created = self.in_place(create).await;
        created.map(|created| created.path).map_err(Error::of(RECIPE, &self.path))
    }

    pub(super) async fn put_all(&self, data: Vec<Bytes>) -> Result<Vec<String>, Error> {
        if data.is_empty() {
            return Ok(Vec::new());
        }
        self.check_limit(data.len()).await?;
        let path = zk_wire::path::join(&self.path, &self.names.prefix(None));
        let create = async || {
            let all = data.iter().fold(self.client.transaction(), |transaction, data| {
                transaction.create(&path, data.clone(), CreateMode::PersistentSequential)
            });
            all.commit().await
        };
        let created = self.in_place(create).await.map_err(Error::of(RECIPE, &self.path))?;
        let paths = created.into_iter().filter_map(|result| match result {
            OpResult::Created(path) => Some(path),
            _ => None,
        });
        Ok(paths.collect())
    }

    pub(super) async fn len(&self) -> Result<usize, Error> {
        let stat = again(&self.client, async || self.client.exists(&self.path).await).await;
        let stat = stat.map_err(Error::of(RECIPE, &self.path))?;
        Ok(stat.map_or(0, |stat| usize::try_from(stat.num_children).unwrap_or_default()))
    }

    /// Returns the name of the next entry to try, but none of those that `taken` lists; `None` if there is none.
    pub(super) async fn next<F: Future<Output = Result<Vec<String>, ClientError>>>(
        &self,
        taken: impl Fn() -> F,
    ) -> Result<Option<String>, Error> {
        if let Some(name) = self.candidates().next(self.clock.now()) {
            return Ok(Some(name));
        }
        let list = async || Ok((children(&self.client, &self.path).await?, taken().await?));
        let (names, taken) = again(&self.client, list).await.map_err(Error::of(RECIPE, &self.path))?;
        let mut free = self.names.entries(names);
        if !taken.is_empty() {
            let taken = std::collections::BTreeSet::from_iter(taken);
            free.retain(|name| !taken.contains(name));
        }
        let mut candidates = self.candidates();
        candidates.fill(self.clock.now(), free);
        Ok(candidates.next(self.clock.now()))
    }

    pub(super) fn put_back(&self, name: String) {
        self.candidates().put_back(name);
    }

    /// Reads an entry; `None` if it is gone.
    pub(super) async fn read(&self, path: &str) -> Result<Option<(Bytes, Stat)>, Error> {
        let read = async || match self.client.get(path).await {
            Err(error) if error.code() == Some(ErrorCode::NO_NODE) => Ok(None),
            read => read.map(Some),
        };
        again(&self.client, read).await.map_err(Error::of(RECIPE, &self.path))
    }

    /// Waits until there is an entry.
    pub(super) async fn until_any(&self) -> Result<(), Error> {
        loop {
            let (names, watch) = watch_children(&self.client, &self.path).await?;
            if !self.names.entries(names).is_empty() {
                return Ok(());
            }
            fired(watch, &self.path).await.map_err(Error::of(RECIPE, &self.path))?;
        }
    }

    async fn check_limit(&self, new: usize) -> Result<(), Error> {
        match self.limit {
            Some(limit) if self.len().await?.saturating_add(new) > limit => {
                Err(Error::Full { path: self.path.clone(), limit })
            }
            _ => Ok(()),
        }
    }

    /// Creates something below the path, which is made if it is missing.
    async fn in_place<T, F: Future<Output = Result<T, ClientError>>>(
        &self,
        create: impl Fn() -> F,
    ) -> Result<T, ClientError> {
        match create().await {
            Err(error) if error.code() == Some(ErrorCode::NO_NODE) => {
                again(&self.client, async || self.client.ensure_path(&self.path).await).await?;
                create().await
            }
            created => created,
        }
    }

    fn candidates(&self) -> MutexGuard<'_, Candidates> {
        self.candidates.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the names of the children; none if the node does not exist.
pub(super) async fn children(client: &Client, path: &str) -> Result<Vec<String>, ClientError> {
    match client.children(path).await {
        Err(error) if error.code() == Some(ErrorCode::NO_NODE) => Ok(Vec::new()),
        children => children.map(|(names, _)| names),
    }
}

/// Returns the names of the children, with a watch on them. Makes the node if it does not exist.
pub(super) async fn watch_children(client: &Client, path: &str) -> Result<(Vec<String>, Watch), Error> {
    let watched = again(client, async || match client.children_and_watch(path).await {
        Err(error) if error.code() == Some(ErrorCode::NO_NODE) => {
            client.ensure_path(path).await?;
            client.children_and_watch(path).await
        }
        watched => watched,
    });
    let (names, _, watch) = watched.await.map_err(Error::of(RECIPE, path))?;
    Ok((names, watch))
}
