//! The semaphore: so many at a time.

use std::num::NonZeroUsize;
use std::time::Duration;

use bytes::Bytes;
use zk_client::Client;

use crate::contender::{Contender, Seat, Terms};
use crate::error::Error;
use crate::guard::{Guard, Holding};
use crate::lock::Lock;
use crate::naming::{Naming, Role};
use crate::queueing;

/// A number of places, of which each that wants one takes one.
///
/// All that use it must name the same number. It is the semaphore of Curator (`InterProcessSemaphoreV2`), and counts its leases:
/// a lock below `locks` lets one in, who makes a node below `leases` and waits there until all of those have a place. So a place
/// that becomes free wakes that one, and it the next one at the lock. kazoo's `Semaphore` has another layout.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let zk = zk_mini::ZkMini::start().await?;
/// # let client = zk_client::Client::connect(&zk.connect_string()).await?;
/// use std::num::NonZeroUsize;
/// use zk_recipes::Semaphore;
///
/// let exports = Semaphore::new(&client, "/limits/exports", NonZeroUsize::new(2).unwrap());
/// let one = exports.acquire().await?;
/// let other = exports.acquire().await?;
/// assert!(exports.try_acquire().await?.is_none());
/// one.release().await?;
/// assert!(exports.try_acquire().await?.is_some());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Semaphore {
    door: Lock,
    lease: Seat,
}

impl Semaphore {
    /// Names a semaphore by the path of its node, which is created when it is missing. Nothing is sent yet.
    #[must_use]
    pub fn new(client: &Client, path: &str, places: NonZeroUsize) -> Self {
        let recipe = "semaphore";
        let terms = Terms { naming: Naming::Curator, role: Role::Lease(places.get()), again: false };
        let leases = zk_wire::path::join(path, "leases").into();
        Self {
            door: Lock::with_role(client, recipe, zk_wire::path::join(path, "locks").into(), Role::Mutex),
            lease: Seat { client: client.clone(), recipe, path: leases, terms, data: Bytes::new() },
        }
    }

    /// Sets who we are, for people and for [`Self::holders`]. The default is nobody.
    #[must_use]
    pub fn identity(mut self, identity: impl Into<String>) -> Self {
        let identity = identity.into();
        self.lease.data = identity.clone().into();
        Self { door: self.door.identity(identity), ..self }
    }

    /// Waits for a place, through lost connections and expired sessions. Dropping the future gives up the place in the queue.
    ///
    /// # Errors
    /// [`Error::Client`] if the servers refuse it, or the client is closed.
    pub async fn acquire(&self) -> Result<Guard, Error> {
        loop {
            let mut door = self.door.acquire().await?;
            let lease = queueing::turn(Contender::start(self.lease.clone()));
            let is_door_lost = async { while !matches!(door.changed().await, Holding::Lost(_)) {} };
            tokio::select! {
                biased;
                guard = lease => if let Some(guard) = guard? {
                    return Ok(guard);
                },
                // Two that wait for a place at once would count each other, and wait for ever.
                () = is_door_lost => {}
            }
        }
    }

    /// Takes a place if one is free. Waits for the servers' answer, but for nobody else; also finds none while another is about
    /// to take one.
    ///
    /// # Errors
    /// The same as of [`Self::acquire`].
    pub async fn try_acquire(&self) -> Result<Option<Guard>, Error> {
        match self.door.try_acquire().await? {
            // The door is released at the end of this function.
            Some(_door) => queueing::try_acquire(&self.lease).await,
            None => Ok(None),
        }
    }

    /// Waits for a place for some time; `None` if there was none until then.
    ///
    /// # Errors
    /// The same as of [`Self::acquire`].
    pub async fn acquire_within(&self, limit: Duration) -> Result<Option<Guard>, Error> {
        queueing::within(&self.lease, limit, self.acquire()).await
    }

    /// Returns the [identities](Self::identity) of those that have a place, and of one that may wait for the next.
    ///
    /// # Errors
    /// [`Error::Client`].
    pub async fn holders(&self) -> Result<Vec<String>, Error> {
        queueing::contenders(&self.lease).await
    }
}
