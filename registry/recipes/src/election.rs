//! The election: one leads, the others stand by.

use bytes::Bytes;
use zk_client::{Client, Zxid};

use crate::contender::{Contender, Phase, Seat, Terms};
use crate::error::Error;
use crate::leader::{self, LeaderWatch};
use crate::naming::{Naming, Role};
use crate::queueing;

/// An election among all processes that name its path: the one that has stood for longest leads.
///
/// Candidates queue, and each watches only the one before it. It is the election of Curator (`LeaderSelector`; `LeaderLatch` with
/// [`Naming::LeaderLatch`]) and of kazoo (`Election`), and has one leader with them; see [`Naming`].
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let zk = zk_mini::ZkMini::start().await?;
/// # let client = zk_client::Client::connect(&zk.connect_string()).await?;
/// # async fn work(token: zk_client::Zxid) {}
/// use zk_recipes::Election;
///
/// let election = Election::new(&client, "/election").identity("ada");
/// let mut candidate = election.stand();
/// let token = candidate.lead().await?;
/// assert_eq!(election.leader().await?.as_deref(), Some("ada"));
/// tokio::select! {
///     () = work(token) => candidate.resign().await?,
///     _ = candidate.lost() => eprintln!("another may lead; `lead` waits for the next turn"),
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Election {
    seat: Seat,
}

/// A candidate as long as it lives, through lost connections and expired sessions: who has lost the lead stands again.
///
/// Dropping it resigns in the background; [`Self::resign`] waits.
#[derive(Debug)]
#[must_use = "dropping a candidate resigns"]
pub struct Candidate {
    contender: Contender,
    /// Fencing token of the term that [`Self::lead`] returned last.
    term: Option<Zxid>,
}

/// State of a [`Candidate`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Standing {
    /// Another one leads, or nobody knows.
    Waiting,
    /// It leads.
    Leading,
    /// It leads or not: no server is connected, or something has happened to its node.
    Unsure,
    /// The client is closed. Final.
    Closed,
}

impl Election {
    /// Names an election by the path of its node, which is created when it is missing. Nothing is sent yet.
    #[must_use]
    pub fn new(client: &Client, path: &str) -> Self {
        let terms = Terms { naming: Naming::default(), role: Role::Leader, again: true };
        let (client, path) = (client.clone(), path.into());
        Self { seat: Seat { client, recipe: "election", path, terms, data: Bytes::new() } }
    }

    /// Sets the names of our nodes. The default is [`Naming::Curator`].
    #[must_use]
    pub fn naming(mut self, naming: Naming) -> Self {
        self.seat.terms.naming = naming;
        self
    }

    /// Sets who we are, for [`Self::leader`] and [`Self::candidates`]. The default is nobody.
    #[must_use]
    pub fn identity(mut self, identity: impl Into<String>) -> Self {
        self.seat.data = identity.into().into();
        self
    }

    /// Stands as a candidate from now on, without waiting for any answer.
    pub fn stand(&self) -> Candidate {
        Candidate { contender: Contender::start(self.seat.clone()), term: None }
    }

    /// Returns the [identity](Self::identity) of the leader; `None` if there is no candidate.
    ///
    /// # Errors
    /// [`Error::Client`].
    pub async fn leader(&self) -> Result<Option<String>, Error> {
        leader::read(&self.seat).await
    }

    /// Returns the [identities](Self::identity) of the candidates, the leader first.
    ///
    /// # Errors
    /// [`Error::Client`].
    pub async fn candidates(&self) -> Result<Vec<String>, Error> {
        queueing::contenders(&self.seat).await
    }

    /// Follows who leads, without standing.
    pub fn watch(&self) -> LeaderWatch {
        LeaderWatch::new(self.seat.clone())
    }
}

impl Candidate {
    /// Waits until this candidate leads, and returns its fencing token: a number that is higher than that of every earlier leader.
    /// Returns at once while it leads. Dropping the future loses nothing.
    ///
    /// Exclusion is certain on the conditions of a [`Guard`](crate::Guard): nobody else believes to lead, if the session timeout is
    /// longer than `syncLimit` × `tickTime` of the ensemble, among others. Where two leaders do harm, send the token with each write,
    /// and let its receiver refuse lower ones.
    ///
    /// # Errors
    /// [`Error::Client`] if the servers refuse the candidate, which tries again until it is dropped, or if the client is closed.
    pub async fn lead(&mut self) -> Result<Zxid, Error> {
        let leads = |phase: &Phase| matches!(phase, Phase::Holding { sure: true, .. });
        loop {
            if let Phase::Holding { created, .. } = self.contender.reached(leads).await? {
                self.term = Some(created);
                return Ok(created);
            }
        }
    }

    /// Waits until this candidate does not lead, or cannot be sure of it: then its work has to stop.
    ///
    /// It is about the term whose token [`Self::lead`] returned last, or before the first of them about the present one. It
    /// returns, too, if the candidate leads again meanwhile: others may have led in between, and the token is too low.
    pub async fn lost(&self) {
        let mut term = self.term;
        loop {
            let phase = self.contender.phase();
            match phase {
                Phase::Holding { sure: true, created, .. } if *term.get_or_insert(created) == created => {}
                _ => return,
            }
            self.contender.changed(&phase).await;
        }
    }

    /// Returns true if it leads for sure, as far as this process has heard; after [`Self::lead`] only in the term whose token that
    /// has returned last. Another one may lead all the same where the conditions of [`Self::lead`] do not hold.
    #[must_use]
    pub fn is_leader(&self) -> bool {
        match self.contender.phase() {
            Phase::Holding { sure, created, .. } => sure && self.term.is_none_or(|term| term == created),
            _ => false,
        }
    }

    /// Returns what is known, in whatever term.
    #[must_use]
    pub fn standing(&self) -> Standing {
        Standing::of(&self.contender.phase())
    }

    /// Resigns, and waits until the node is gone or the session is over, also while no server is connected.
    ///
    /// # Errors
    /// [`Error::Client`] if the servers refuse to delete the node, or the client was closed and no server has confirmed that; it goes
    /// with the session then.
    pub async fn resign(self) -> Result<(), Error> {
        self.contender.withdraw().await
    }
}

impl Standing {
    fn of(phase: &Phase) -> Self {
        match phase {
            Phase::Holding { sure: true, .. } => Self::Leading,
            Phase::Holding { .. } => Self::Unsure,
            Phase::Joining | Phase::Waiting => Self::Waiting,
            Phase::Lost(_) | Phase::Withdrawn => Self::Closed,
        }
    }
}
