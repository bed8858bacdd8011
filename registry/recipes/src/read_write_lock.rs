//! The lock that many share for reading.

use std::sync::Arc;

use zk_client::Client;

use crate::lock::Lock;
use crate::naming::{Naming, Role};

/// A lock that many hold for reading, or one for writing.
///
/// It is fair: who wants to read waits for all that wanted to write before, so writers do not starve. The end of a write wakes
/// those that wait to read behind it, together; all else wakes one. It is the lock of Curator (`InterProcessReadWriteLock`) and of
/// kazoo (`ReadLock`, `WriteLock`), and excludes them; see [`Naming`]. A [`Lock`] on the same path is a writer. Neither side is
/// re-entrant.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let zk = zk_mini::ZkMini::start().await?;
/// # let client = zk_client::Client::connect(&zk.connect_string()).await?;
/// use zk_recipes::ReadWriteLock;
///
/// let lock = ReadWriteLock::new(&client, "/locks/index");
/// let one = lock.read().acquire().await?;
/// let other = lock.read().acquire().await?;
/// assert!(lock.write().try_acquire().await?.is_none());
/// one.release().await?;
/// other.release().await?;
/// assert!(lock.write().try_acquire().await?.is_some());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct ReadWriteLock {
    read: Lock,
    write: Lock,
}

impl ReadWriteLock {
    /// Names a lock by the path of its node, which is created when it is missing. Nothing is sent yet.
    #[must_use]
    pub fn new(client: &Client, path: &str) -> Self {
        let path: Arc<str> = path.into();
        Self {
            read: Lock::with_role(client, "read lock", path.clone(), Role::Read),
            write: Lock::with_role(client, "write lock", path, Role::Write),
        }
    }

    /// Sets the names of our nodes. The default is [`Naming::Curator`].
    #[must_use]
    pub fn naming(self, naming: Naming) -> Self {
        Self { read: self.read.naming(naming), write: self.write.naming(naming) }
    }

    /// Sets who we are, for people and for [`Lock::contenders`]. The default is nobody.
    #[must_use]
    pub fn identity(self, identity: impl Into<String>) -> Self {
        let identity = identity.into();
        Self { read: self.read.identity(identity.clone()), write: self.write.identity(identity) }
    }

    /// Returns the side that many hold.
    #[must_use]
    pub fn read(&self) -> &Lock {
        &self.read
    }

    /// Returns the side that one holds.
    #[must_use]
    pub fn write(&self) -> &Lock {
        &self.write
    }
}
