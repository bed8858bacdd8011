//! Figures of an ensemble for those who watch over it, by ZooKeeper's terms.

use zk_wire::Millis;

use super::inspect::Role;
use crate::core::txn::Change;
use crate::core::{Core, Mode, size};

/// Figures of an ensemble, as one of its servers has them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct EnsembleFigures {
    /// Number of servers that have a vote.
    pub voters: usize,
    /// Figures that only the leader has.
    pub leader: Option<LeaderFigures>,
}

/// Figures of the leader of an ensemble.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct LeaderFigures {
    /// Time since its election.
    pub uptime: Millis,
    /// Number of servers that follow it, without observers.
    pub followers: usize,
    /// Number of those that are no members, and so have no vote.
    pub non_voting: usize,
    /// Number of observers that follow it.
    pub observers: usize,
    /// Sizes of transactions since its election; `None` before the first.
    pub proposals: Option<ProposalSizes>,
}

/// Sizes of transactions that were proposed to followers, in bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct ProposalSizes {
    /// Size of the last one.
    pub last: usize,
    /// Smallest size.
    pub min: usize,
    /// Largest size.
    pub max: usize,
}

/// Counts of the leader since its election.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Reign {
    since: Millis,
    proposals: Option<ProposalSizes>,
}

impl Reign {
    pub(super) fn begin(now: Millis) -> Self {
        Self { since: now, proposals: None }
    }

    /// Counts a transaction.
    pub(super) fn proposed(&mut self, change: &Change) {
        let last = size::of_txn(change);
        let (min, max) = self.proposals.map_or((last, last), |sizes| (sizes.min, sizes.max));
        self.proposals = Some(ProposalSizes { last, min: min.min(last), max: max.max(last) });
    }
}

impl Core {
    /// Returns the figures of an ensemble, as the server has them whose state is in place; those of the leader stand for a whole
    /// one. `None` for a single server, and without a quorum.
    #[must_use]
    pub fn ensemble_figures(&self, now: Millis) -> Option<EnsembleFigures> {
        let ensemble = self.ensemble.as_deref().filter(|ensemble| ensemble.leader.is_some())?;
        let count = |role| self.servers().iter().filter(|info| info.role == role).count();
        let leader = || LeaderFigures {
            uptime: Millis(now.0.saturating_sub(ensemble.reign.since.0)),
            followers: count(Role::Follower),
            // The leader votes, and does not follow.
            non_voting: (count(Role::Follower) + 1).saturating_sub(ensemble.voting().len()),
            observers: count(Role::Observer),
            proposals: ensemble.reign.proposals,
        };
        let leads = self.mode() == Mode::Leader;
        Some(EnsembleFigures { voters: ensemble.members.voters(), leader: leads.then(leader) })
    }
}
