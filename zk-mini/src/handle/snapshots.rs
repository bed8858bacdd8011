//! Snapshots of the whole state, as values.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use zk_wire::Zxid;

use crate::core::{Core, Image, ImageNode, Replacement};
use crate::handle::Handle;
use crate::handle::lifecycle::RestoreError;
use crate::storage::{SnapshotError, image_from_bytes, image_to_bytes};

/// Nodes and sessions of a server at one moment: a value that stays as it is, and that any server can be given. Clones share
/// their content. See [`Handle::snapshot`].
#[derive(Clone, PartialEq)]
pub struct Snapshot {
    pub(crate) image: Arc<Image>,
}

impl Snapshot {
    /// Returns the zxid of the last transaction that it shows.
    #[must_use]
    pub fn last_zxid(&self) -> Zxid {
        self.image.last_zxid
    }

    /// Returns the snapshot as the bytes of a file of Apache ZooKeeper: `snapshot.ZXID` in a data directory, not compressed.
    ///
    /// # Errors
    /// [`SnapshotError`] if a part is longer than the format allows.
    pub fn to_bytes(&self) -> Result<Bytes, SnapshotError> {
        image_to_bytes(&self.image)
    }

    /// Reads a snapshot from the bytes of a file of Apache ZooKeeper 3.6 or later, or of [`to_bytes`](Self::to_bytes).
    /// Ephemeral nodes whose session is not in it go when it is restored, as at the start of ZooKeeper.
    ///
    /// # Errors
    /// [`SnapshotError`] if the bytes are damaged, compressed, or show no whole tree: a snapshot that ZooKeeper takes under
    /// load may need the log behind it.
    pub fn from_bytes(bytes: impl Into<Bytes>) -> Result<Self, SnapshotError> {
        Ok(Self { image: Arc::new(image_from_bytes(&bytes.into())?) })
    }

    /// Returns the number of nodes, with the system's nodes.
    #[must_use]
    pub fn node_count(&self) -> usize {
        self.image.nodes.len()
    }

    /// Returns all nodes, parents before their children.
    #[must_use]
    pub fn nodes(&self) -> &[ImageNode] {
        &self.image.nodes
    }

    /// Returns the number of sessions.
    #[must_use]
    pub fn session_count(&self) -> usize {
        self.image.sessions.len()
    }
}

/// Shows the figures, not the content.
impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot")
            .field("last_zxid", &self.last_zxid())
            .field("nodes", &self.node_count())
            .field("sessions", &self.session_count())
            .finish()
    }
}

/// Snapshots by value: take one before a test, and restore it afterwards. Each takes one to two microseconds a node.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use zk_mini::ZkMini;
///
/// let zk = ZkMini::start().await?;
/// zk.create("/config/limit", "10").parents().await?;
/// let before = zk.snapshot();
///
/// zk.set("/config/limit", "20").await?;
/// zk.create("/junk", "").await?;
///
/// zk.restore(&before).await?;
/// assert_eq!(zk.get("/config/limit").unwrap().0, "10");
/// assert!(zk.get("/junk").is_none());
/// # Ok(())
/// # }
/// ```
impl Handle {
    /// Returns the present state, without what waits at frozen connections. Data are shared with the server, not copied.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        Snapshot { image: Arc::new(self.engine.look(|state| state.core.image())) }
    }

    /// Gives the server the state of a snapshot, which may be of another server. All connections are closed.
    ///
    /// Sessions of the snapshot live on with their full timeouts, even if they have ended since; all others are told that
    /// they have expired. Clients that reconnect and set their watches again get an event for each of them that may have
    /// missed a change. With a data directory the state is durable when this returns.
    ///
    /// # Errors
    /// [`RestoreError`]
    pub async fn restore(&self, snapshot: &Snapshot) -> Result<(), RestoreError> {
        let (config, now) = self.engine.look(|state| (state.core.config().clone(), state.clock.now()));
        self.exchange(Core::of_image(config, now, Image::clone(&snapshot.image)), Replacement::Restored).await
    }
}
