//! The lock that one at a time holds.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use zk_client::Client;

use crate::contender::{Seat, Terms};
use crate::error::Error;
use crate::guard::Guard;
use crate::naming::{Naming, Role};
use crate::queueing;

/// A lock that one at a time holds, of all processes that name its path.
///
/// Those that want it queue, and each watches only the one before it, so a release wakes one. It is the lock of Curator
/// (`InterProcessMutex`) and of kazoo (`Lock`), and excludes them; see [`Naming`]. It is not re-entrant: a task that holds it and
/// asks for it again waits for itself.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let zk = zk_mini::ZkMini::start().await?;
/// # let client = zk_client::Client::connect(&zk.connect_string()).await?;
/// # async fn work(token: zk_client::Zxid) {}
/// use zk_recipes::Lock;
///
/// let lock = Lock::new(&client, "/locks/report");
/// let guard = lock.acquire().await?;
/// let token = guard.fencing_token();
/// tokio::select! {
///     () = work(token) => guard.release().await?,
///     lost = guard.lost() => eprintln!("stopped, because the lock is {lost:?}"),
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Lock {
    seat: Seat,
}

impl Lock {
    /// Names a lock by the path of its node, which is created when it is missing. Nothing is sent yet.
    #[must_use]
    pub fn new(client: &Client, path: &str) -> Self {
        Self::with_role(client, "lock", path.into(), Role::Mutex)
    }

    pub(crate) fn with_role(client: &Client, recipe: &'static str, path: Arc<str>, role: Role) -> Self {
        let terms = Terms { naming: Naming::default(), role, again: false };
        Self { seat: Seat { client: client.clone(), recipe, path, terms, data: Bytes::new() } }
    }

    /// Sets the names of our nodes. The default is [`Naming::Curator`].
    #[must_use]
    pub fn naming(mut self, naming: Naming) -> Self {
        self.seat.terms.naming = naming;
        self
    }

    /// Sets who we are, for people and for [`Self::contenders`]. The default is nobody.
    #[must_use]
    pub fn identity(mut self, identity: impl Into<String>) -> Self {
        self.seat.data = identity.into().into();
        self
    }

    /// Waits for the lock, through lost connections and expired sessions. Dropping the future gives up the place in the queue.
    ///
    /// # Errors
    /// [`Error::Client`] if the servers refuse it, or the client is closed.
    pub async fn acquire(&self) -> Result<Guard, Error> {
        queueing::acquire(&self.seat).await
    }

    /// Takes the lock if nobody has it and nobody waits for it. Waits for the servers' answer, but for nobody else.
    ///
    /// # Errors
    /// The same as of [`Self::acquire`].
    pub async fn try_acquire(&self) -> Result<Option<Guard>, Error> {
        queueing::try_acquire(&self.seat).await
    }

    /// Waits for the lock for some time; `None` if it was not our turn until then.
    ///
    /// # Errors
    /// The same as of [`Self::acquire`].
    pub async fn acquire_within(&self, limit: Duration) -> Result<Option<Guard>, Error> {
        queueing::within(&self.seat, limit, self.acquire()).await
    }

    /// Returns the [identities](Self::identity) of those that have the lock or wait for it, in order.
    ///
    /// # Errors
    /// [`Error::Client`].
    pub async fn contenders(&self) -> Result<Vec<String>, Error> {
        queueing::contenders(&self.seat).await
    }
}
