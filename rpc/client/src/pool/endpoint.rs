//! An address, and the connections there should be to it. No I/O.

use common::Millis;

use super::Phase;
use crate::targets::Target;

/// Number of attempts that may follow each other at once, for each link that is wanted.
pub(super) const SPREAD_PER_CONNECTION: usize = 4;

#[derive(Debug)]
pub(super) struct Endpoint {
    pub(super) target: Target,
    /// Number of attempts in a row that failed, or gave a link that ended young.
    pub(super) failures: u32,
    /// Time before which no attempt begins.
    pub(super) retry_at: Millis,
    /// Number of further attempts that may begin at once when one has reached a worker that has a link already.
    pub(super) spread: usize,
    /// Number of its links that take calls or are being made.
    pub(super) there: usize,
    /// Number of those that are being made.
    pub(super) trying: usize,
}

impl Endpoint {
    pub(super) fn new(target: Target, retry_at: Millis) -> Self {
        Self { failures: 0, retry_at, spread: spread(&target), there: 0, trying: 0, target }
    }

    /// Returns the number of connections to begin: after a failure one at a time. Where the workers are known, no two links
    /// lead to the same one, so as many links as workers reach them all.
    pub(super) fn lacks(&self) -> usize {
        let lacking = self.target.connections.saturating_sub(self.there);
        match (self.failures, self.trying) {
            (0, _) => lacking,
            (_, 0) => lacking.min(1),
            _ => 0,
        }
    }

    pub(super) fn count(&mut self, phase: &Phase) {
        self.there += usize::from(!matches!(phase, Phase::Leaving { .. }));
        self.trying += usize::from(matches!(phase, Phase::Connecting));
    }

    pub(super) fn discount(&mut self, phase: &Phase) {
        self.there -= usize::from(!matches!(phase, Phase::Leaving { .. }));
        self.trying -= usize::from(matches!(phase, Phase::Connecting));
    }
}

/// Returns the number of attempts that may follow each other at once to reach every worker of an address.
pub(super) fn spread(target: &Target) -> usize {
    SPREAD_PER_CONNECTION * target.connections
}
