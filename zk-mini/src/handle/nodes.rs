//! Direct writes: nodes are created, set and deleted without a session.

use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use zk_wire::{Acl, Expected, SessionId, Stat, Version};

use crate::core::{Core, NewNode, NodeKind, Now, Peer, SYSTEM_NODES, WriteError, Written};
use crate::handle::Handle;

/// Future of a write.
type Writing<'a, T> = Pin<Box<dyn Future<Output = Result<T, WriteError>> + Send + 'a>>;

/// Direct writes, without a session. Clients see them as they see the writes of another client: each takes a zxid, fires
/// watches, counts for quotas and stands in the log. ACLs do not restrict them. A write that is refused takes no zxid.
///
/// A write returns when it is durable, if the server has a data directory, and when its watch events are written to the
/// connections, as far as the peers take them.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use zk_mini::ZkMini;
///
/// let zk = ZkMini::start().await?;
/// zk.create("/services/echo/a", "127.0.0.1:8080").parents().await?;
/// zk.set("/services/echo/a", "127.0.0.1:9090").await?;
/// let next = zk.create("/services/echo/n-", "").sequential().await?;
/// assert_eq!(next.path, "/services/echo/n-0000000001");
/// assert_eq!(zk.delete_recursive("/services").await?, 4);
///
/// let error = zk.delete("/services").await.unwrap_err();
/// assert_eq!(error.to_string(), "/services does not exist");
/// # Ok(())
/// # }
/// ```
impl Handle {
    /// Creates a node: persistent, with an open ACL, and below an existing parent, unless the options of [`Create`] say
    /// otherwise.
    ///
    /// # Errors
    /// [`WriteError`] when it is awaited.
    pub fn create<'a>(&'a self, path: &'a str, data: impl Into<Bytes>) -> Create<'a> {
        Create {
            handle: self,
            path,
            data: data.into(),
            acl: None,
            kind: NodeKind::Persistent,
            sequential: false,
            parents: false,
            or_set: false,
        }
    }

    /// Sets a node's data, whatever its version is; see [`Set::version`].
    ///
    /// # Errors
    /// [`WriteError`] when it is awaited.
    pub fn set<'a>(&'a self, path: &'a str, data: impl Into<Bytes>) -> Set<'a> {
        Set { handle: self, path, data: data.into(), version: Expected::Any }
    }

    /// Deletes a node without children, whatever its version is; see [`Delete::version`].
    ///
    /// # Errors
    /// [`WriteError`] when it is awaited.
    pub fn delete<'a>(&'a self, path: &'a str) -> Delete<'a> {
        Delete { handle: self, path, version: Expected::Any }
    }

    /// Deletes a node and all nodes below it, and returns their number.
    ///
    /// Children go before their parents, in one transaction, as in a multi. If it would be longer than
    /// [`jute_max_buffer`](crate::Builder::jute_max_buffer) allows, there are several; no other write comes between them. The
    /// system's nodes stay: `/` stands for everything else. [`Self::remove`] refuses it.
    ///
    /// # Errors
    /// [`WriteError`]
    pub async fn delete_recursive(&self, path: &str) -> Result<usize, WriteError> {
        self.write(path, |core, now| core.delete_all_directly(now, path)).await
    }

    /// Deletes a node, and all nodes below it if `recursive`, and returns its last `Stat`. The system's nodes are refused, the root
    /// with all below it, too; [`Self::delete_recursive`] empties the tree.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use zk_mini::ZkMini;
    ///
    /// let zk = ZkMini::start().await?;
    /// zk.create("/services/echo", "x").parents().await?;
    /// assert!(zk.remove("/services", false).await.is_err(), "it has a child");
    /// let removed = zk.remove("/services", true).await?;
    /// assert_eq!((removed.nodes, removed.stat.num_children), (2, 1));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`WriteError`]
    pub async fn remove(&self, path: &str, recursive: bool) -> Result<Removed, WriteError> {
        let remove = |core: &mut Core, now| {
            if SYSTEM_NODES.contains(&path) {
                return Err(WriteError::SystemNode { path: path.into() });
            }
            let stat = core.node(path).map(|node| node.stat).unwrap_or_default();
            let nodes = if recursive {
                core.delete_all_directly(now, path)?
            } else {
                core.delete_directly(now, path, Expected::Any)?;
                1
            };
            Ok(Removed { stat, nodes })
        };
        self.write(path, remove).await
    }

    /// Sets a node's access control list.
    ///
    /// # Errors
    /// [`WriteError`]
    pub async fn set_acl(&self, path: &str, acl: &[Acl]) -> Result<Written, WriteError> {
        self.write(path, |core, now| core.set_acl_directly(now, path, acl)).await
    }

    /// Returns the most bytes that a client may send in a request, and that a direct write should have:
    /// [`jute_max_buffer`](crate::Builder::jute_max_buffer).
    #[must_use]
    pub fn jute_max_buffer(&self) -> usize {
        self.engine.limits.max_frame
    }

    /// Writes, and waits until everything that it caused has happened.
    pub(crate) async fn write<T>(
        &self,
        path: &str,
        write: impl FnOnce(&mut Core, Now) -> Result<T, WriteError>,
    ) -> Result<T, WriteError> {
        let client = self.client.map(|addr| Peer { ip: addr.ip(), port: addr.port() });
        let changed = self.engine.change(|core, now| {
            core.write_for(client);
            let written = write(core, now);
            core.write_for(None);
            written
        });
        let (written, performing) = changed.ok_or_else(|| WriteError::Stopped { path: path.into() })?;
        let written = written?;
        if self.engine.performed(performing).await {
            Ok(written)
        } else {
            Err(WriteError::NotDurable { path: path.into() })
        }
    }
}

/// Node that was deleted by [`Handle::remove`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Removed {
    /// `Stat` of the node before.
    pub stat: Stat,
    /// Number of nodes that were deleted.
    pub nodes: usize,
}

/// Create of a node; await it. See [`Handle::create`].
#[derive(Clone, Debug)]
#[must_use = "nothing is written until it is awaited"]
pub struct Create<'a> {
    handle: &'a Handle,
    path: &'a str,
    data: Bytes,
    acl: Option<&'a [Acl]>,
    kind: NodeKind,
    sequential: bool,
    parents: bool,
    or_set: bool,
}

impl<'a> Create<'a> {
    /// Makes the node ephemeral: it goes with this session, which must be alive.
    pub fn ephemeral(mut self, owner: SessionId) -> Self {
        self.kind = NodeKind::Ephemeral(owner);
        self
    }

    /// Makes the node a container: the server deletes it after its last child.
    pub fn container(mut self) -> Self {
        self.kind = NodeKind::Container;
        self
    }

    /// Gives the node a time to live; the server needs [`extended_types`](crate::Builder::extended_types).
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.kind = NodeKind::Ttl(ttl.into());
        self
    }

    /// Appends the parent's counter to the name.
    pub fn sequential(mut self) -> Self {
        self.sequential = true;
        self
    }

    /// Sets the access control list, also of parents that are made. It is open unless set.
    pub fn acl(mut self, acl: &'a [Acl]) -> Self {
        self.acl = Some(acl);
        self
    }

    /// Makes missing parents, persistent and empty, in the same transaction.
    pub fn parents(mut self) -> Self {
        self.parents = true;
        self
    }

    /// Sets the data if the node exists. Its kind and its ACL stay; a node that is to be [ephemeral](Self::ephemeral) must
    /// belong to that session already.
    pub fn or_set(mut self) -> Self {
        self.or_set = true;
        self
    }

    fn write(&self, core: &mut Core, now: Now) -> Result<Written, WriteError> {
        let (path, data, open) = (self.path, Some(&self.data[..]), [Acl::open()]);
        if self.or_set
            && !self.sequential
            && let Some(present) = core.node(path)
        {
            match self.kind {
                NodeKind::Ephemeral(session) if !core.is_alive(session) => {
                    return Err(WriteError::NoSession { path: path.into(), session });
                }
                NodeKind::Ephemeral(session) if present.stat.ephemeral_owner != session => {
                    return Err(WriteError::OtherOwner { path: path.into(), session });
                }
                _ => return core.set_directly(now, path, data, Expected::Any),
            }
        }
        let acl = self.acl.unwrap_or(&open);
        let Self { kind, sequential, parents, .. } = *self;
        core.create_directly(now, &NewNode { path, data, acl, kind, sequential, parents })
    }
}

impl<'a> IntoFuture for Create<'a> {
    type Output = Result<Written, WriteError>;
    type IntoFuture = Writing<'a, Written>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { self.handle.write(self.path, |core, now| self.write(core, now)).await })
    }
}

/// Change of a node's data; await it. See [`Handle::set`].
#[derive(Clone, Debug)]
#[must_use = "nothing is written until it is awaited"]
pub struct Set<'a> {
    handle: &'a Handle,
    path: &'a str,
    data: Bytes,
    version: Expected,
}

impl Set<'_> {
    /// Sets the data only if the node is at this version.
    pub fn version(mut self, version: Version) -> Self {
        self.version = Expected::Exactly(version);
        self
    }
}

impl<'a> IntoFuture for Set<'a> {
    type Output = Result<Written, WriteError>;
    type IntoFuture = Writing<'a, Written>;

    fn into_future(self) -> Self::IntoFuture {
        let Self { handle, path, data, version } = self;
        Box::pin(async move {
            handle.write(path, |core, now| core.set_directly(now, path, Some(&data), version)).await
        })
    }
}

/// Delete of a node; await it. See [`Handle::delete`].
#[derive(Clone, Debug)]
#[must_use = "nothing is written until it is awaited"]
pub struct Delete<'a> {
    handle: &'a Handle,
    path: &'a str,
    version: Expected,
}

impl Delete<'_> {
    /// Deletes the node only if it is at this version.
    pub fn version(mut self, version: Version) -> Self {
        self.version = Expected::Exactly(version);
        self
    }
}

impl<'a> IntoFuture for Delete<'a> {
    type Output = Result<(), WriteError>;
    type IntoFuture = Writing<'a, ()>;

    fn into_future(self) -> Self::IntoFuture {
        let Self { handle, path, version } = self;
        Box::pin(
            async move { handle.write(path, |core, now| core.delete_directly(now, path, version)).await },
        )
    }
}
