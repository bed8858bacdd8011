//! One node that contends for a turn, and the task that takes care of it.

mod core;
mod driver;

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::watch;
use zk_client::Client;

use crate::error::Error;
pub use core::Loss;
pub(crate) use core::{Phase, Terms, in_order};
use driver::Driver;

/// Place that contenders queue for, and the terms of one of them.
#[derive(Clone, Debug)]
pub(crate) struct Seat {
    pub(crate) client: Client,
    /// Name of the recipe, for errors and log lines.
    pub(crate) recipe: &'static str,
    /// Parent of the nodes.
    pub(crate) path: Arc<str>,
    pub(crate) terms: Terms,
    /// Data of the node, for people and for others that contend.
    pub(crate) data: Bytes,
}

/// Contends as long as it lives; dropping it withdraws in the background.
#[derive(Debug)]
pub(crate) struct Contender {
    /// Keeps the session open; the task does not.
    _client: Client,
    recipe: &'static str,
    path: Arc<str>,
    /// Dropping it withdraws, too.
    withdraw: watch::Sender<()>,
    report: watch::Receiver<Report>,
}

/// Progress of the driver.
#[derive(Clone, Debug)]
pub(crate) struct Report {
    pub(crate) phase: Phase,
    /// Error of the last step, if the servers refused it.
    pub(crate) refused: Option<zk_client::Error>,
}

impl Contender {
    /// Starts the task.
    pub(crate) fn start(seat: Seat) -> Self {
        let (client, recipe, path) = (seat.client.clone(), seat.recipe, seat.path.clone());
        let (withdraw, withdrawals) = watch::channel(());
        let (reports, report) = watch::channel(Report { phase: Phase::Joining, refused: None });
        client.spawn(Driver::new(seat, fastrand::u64(..)).run(withdrawals, reports));
        Self { _client: client, recipe, path, withdraw, report }
    }

    /// Returns the progress.
    pub(crate) fn phase(&self) -> Phase {
        // Before a look at the last word: the task ends without one only with its runtime.
        let has_ended = self.report.has_changed().is_err();
        match self.report.borrow().phase.clone() {
            phase @ (Phase::Lost(_) | Phase::Withdrawn) => phase,
            _ if has_ended => Phase::Lost(Loss::Closed),
            phase => phase,
        }
    }

    /// Waits for a phase that is wanted, and returns it. Dropping the future loses nothing.
    ///
    /// # Errors
    /// The servers refuse us, or the client is closed.
    pub(crate) async fn reached(&mut self, wanted: impl Fn(&Phase) -> bool) -> Result<Phase, Error> {
        let over = Report { phase: Phase::Lost(Loss::Closed), refused: None };
        let ends = |report: &Report| {
            let is_closed = report.phase == Phase::Lost(Loss::Closed);
            wanted(&report.phase) || is_closed || report.refused.is_some()
        };
        let report = match self.phase() {
            // Its last word is no longer true.
            Phase::Lost(Loss::Closed) => over,
            _ => self.report.wait_for(ends).await.map_or(over, |report| report.clone()),
        };
        if wanted(&report.phase) {
            return Ok(report.phase);
        }
        let refused = report.refused.unwrap_or_else(|| closed(self.recipe, &self.path));
        Err(Error::of(self.recipe, &self.path)(refused))
    }

    /// Waits for another phase than `seen`, and returns it.
    pub(crate) async fn changed(&self, seen: &Phase) -> Phase {
        let mut report = self.report.clone();
        let changed = report.wait_for(|report| report.phase != *seen).await;
        changed.map_or(Phase::Lost(Loss::Closed), |report| report.phase.clone())
    }

    /// Withdraws, and waits until the node is gone, also while no server is connected.
    ///
    /// # Errors
    /// The servers refuse to delete the node, or the client was closed and no server has confirmed that; it goes with the session
    /// then.
    pub(crate) async fn withdraw(mut self) -> Result<(), Error> {
        // The task has ended already if nobody receives it.
        let _ = self.withdraw.send(());
        let is_over = |report: &Report| matches!(report.phase, Phase::Withdrawn | Phase::Lost(_));
        let over = self.report.wait_for(is_over).await.map(|report| report.refused.clone());
        // The task has no last word if its runtime has ended.
        let refused = over.unwrap_or_else(|_| Some(closed(self.recipe, &self.path)));
        refused.map_or(Ok(()), |refused| Err(Error::of(self.recipe, &self.path)(refused)))
    }
}

/// Returns the error of a client that is closed.
fn closed(recipe: &'static str, path: &str) -> zk_client::Error {
    zk_client::Error::Closed { op: recipe, path: path.to_owned(), sent: false }
}
