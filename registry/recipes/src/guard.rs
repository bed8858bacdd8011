//! A turn that one has: of a lock, a read or write lock, or a semaphore.

use zk_client::Zxid;

use crate::contender::{Contender, Loss, Phase};
use crate::error::Error;

/// A lock, or a place of a semaphore, that is held as long as this lives and nothing else ends it.
///
/// A lock in ZooKeeper can be lost: its node goes with the session, and people delete nodes. So work under a lock watches its
/// guard, and stops when [`Self::lost`] returns. That happens when the lock is gone, and also when the connection is: without one
/// nobody can tell if the session still lives. The client notices a silent server after two thirds of the session timeout, and
/// servers wait for all of it before they let the next one in, so the guard is not [held](Self::is_held) any more when another one
/// is, if both clocks and all programs run, and if the session timeout is longer than `syncLimit` × `tickTime` of the ensemble
/// (10 seconds in its sample configuration): for so long a follower that is cut off from its leader answers pings, while the
/// others let the next one in. A program that was stopped meanwhile, or a write that travels for long, comes too late all the
/// same: send the [fencing token](Self::fencing_token) with each write, and let its receiver refuse lower ones.
///
/// Dropping the guard releases in the background: its task deletes the node, and tries until it has, or until the session is
/// over. [`Self::release`] waits for that.
#[derive(Debug)]
#[must_use = "dropping a guard releases what it holds"]
pub struct Guard {
    contender: Contender,
    path: String,
    token: Zxid,
    seen: Holding,
}

/// Knowledge about what a [`Guard`] holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Holding {
    /// It is held.
    Held,
    /// It may be held: no server is connected, or something has happened to the node. Either [`Self::Held`] or [`Self::Lost`]
    /// follows.
    Unsure,
    /// It is lost. Final.
    Lost(Loss),
}

impl Guard {
    /// Returns the guard of a contender whose turn it is.
    pub(crate) fn new(contender: Contender, path: String, token: Zxid) -> Self {
        Self { contender, path, token, seen: Holding::Held }
    }

    /// Returns true if it is held for sure, as far as this process has heard.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.holding() == Holding::Held
    }

    /// Returns what is known.
    #[must_use]
    pub fn holding(&self) -> Holding {
        Holding::of(&self.contender.phase())
    }

    /// Waits until it is lost, or until nobody can be sure that it is not, and returns which of both.
    pub async fn lost(&self) -> Holding {
        loop {
            let phase = self.contender.phase();
            match Holding::of(&phase) {
                Holding::Held => self.contender.changed(&phase).await,
                holding => return holding,
            };
        }
    }

    /// Waits for something else than at the last call, or than [`Holding::Held`] at the first, and returns it. For work that goes
    /// on while the connection is lost for a moment. After [`Holding::Lost`] it waits for ever.
    pub async fn changed(&mut self) -> Holding {
        loop {
            let phase = self.contender.phase();
            let holding = Holding::of(&phase);
            if holding != self.seen {
                self.seen = holding;
                return holding;
            }
            if matches!(holding, Holding::Lost(_)) {
                std::future::pending::<()>().await;
            }
            self.contender.changed(&phase).await;
        }
    }

    /// Returns a number that is higher than that of everybody who held the lock before: the transaction that made the node.
    #[must_use]
    pub fn fencing_token(&self) -> Zxid {
        self.token
    }

    /// Returns the path of the node, below the chroot.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Releases, and waits until the node is gone or the session is over, also while no server is connected.
    ///
    /// # Errors
    /// [`Error::Client`] if the servers refuse to delete the node, or the client was closed and no server has confirmed that; it goes
    /// with the session then.
    pub async fn release(self) -> Result<(), Error> {
        self.contender.withdraw().await
    }
}

impl Holding {
    fn of(phase: &Phase) -> Self {
        match phase {
            Phase::Holding { sure: true, .. } => Self::Held,
            Phase::Lost(loss) => Self::Lost(*loss),
            // A turn never goes back into the queue.
            Phase::Holding { .. } | Phase::Joining | Phase::Waiting | Phase::Withdrawn => Self::Unsure,
        }
    }
}
