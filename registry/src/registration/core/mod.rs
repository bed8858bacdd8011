//! Life of a registered instance, as a state machine: inputs and the time go in, steps come out, one at a time for each
//! node. It knows no connection, clock or task, and learns of nodes from the server's answers only.
//!
//! An instance has one node for each format. Four rules carry them:
//! - A create whose reply was lost may have made the node. The name of the node holds a GUID (the session's id and a
//!   random number), or is fixed, so the core looks for that name before it does anything else.
//! - A node is ours only if the current session owns it. A node that our own expired session left behind will go by
//!   itself: it is not taken over. One that has a fixed name is in the way, and is replaced.
//! - A fixed name belongs to the newest instance. The first attempt to register replaces whatever has the name; an instance
//!   that finds another node in the place of its own gives up. So two of the same id never fight.
//! - A lost connection changes nothing as long as the session lives.

mod message;
mod node;
mod state;

use std::sync::Arc;

use bytes::Bytes;
use common::Millis;

use crate::codec::Naming;
use node::{NodeCore, Phase};

pub(crate) use message::{Input, Node, NodeInput, NodeName, Output, StepFailure, StepOutcome};
pub use state::{LossReason, OnDelete, RegistrationState, WithdrawReason};

/// The state machine.
#[derive(Debug)]
pub(crate) struct Core {
    nodes: Vec<NodeCore>,
    /// Reason why all nodes go, if one of them was taken from us for good.
    ended: Option<WithdrawReason>,
}

impl Core {
    /// Registers an instance that has this id. Names and data are one for each format.
    pub(crate) fn new(
        seed: u64,
        names: Vec<Naming>,
        id: &Arc<str>,
        on_delete: OnDelete,
        data: &Arc<[Bytes]>,
    ) -> Self {
        let mut seeds = fastrand::Rng::with_seed(seed);
        let nodes = names
            .into_iter()
            .zip(data.iter())
            .map(|(naming, data)| NodeCore::new(seeds.u64(..), naming, id.clone(), on_delete, data.clone()));
        Self { nodes: nodes.collect(), ended: None }
    }

    /// Takes an input. Call [`Self::poll_output`] afterwards.
    pub(crate) fn handle(&mut self, now: Millis, input: Input) {
        match input {
            Input::All(input) => self.all(now, &input),
            Input::One(node, input) => {
                if let Some(node) = self.nodes.get_mut(node) {
                    node.handle(now, input);
                }
            }
            Input::Update { data, revision } => {
                for (node, data) in self.nodes.iter_mut().zip(data.iter()) {
                    node.handle(now, NodeInput::Update { data: data.clone(), revision });
                }
            }
        }
        if self.ended.is_none() {
            self.ended = self.nodes.iter().find_map(|node| match node.phase() {
                Phase::Over(reason @ (WithdrawReason::Replaced | WithdrawReason::Deleted)) => Some(reason),
                _ => None,
            });
            if self.ended.is_some() {
                self.all(now, &NodeInput::Withdraw);
            }
        }
    }

    fn all(&mut self, now: Millis, input: &NodeInput) {
        for node in &mut self.nodes {
            node.handle(now, input.clone());
        }
    }

    /// Returns the next step of a node, if there is one to perform now.
    #[must_use]
    pub(crate) fn poll_output(&mut self) -> Option<(usize, Output)> {
        self.nodes.iter_mut().enumerate().find_map(|(index, node)| Some((index, node.poll_output()?)))
    }

    /// Returns the time at which [`NodeInput::Timeout`] is due.
    #[must_use]
    pub(crate) fn poll_deadline(&self) -> Option<Millis> {
        self.nodes.iter().filter_map(NodeCore::poll_deadline).min()
    }

    /// Returns the state. Nodes may still have to go after the instance is withdrawn, see [`Self::is_over`].
    #[must_use]
    pub(crate) fn state(&self) -> RegistrationState {
        if let Some(reason) = &self.ended {
            return RegistrationState::Withdrawn(reason.clone());
        }
        let (mut paths, mut loss, mut withdrawn) = (Vec::new(), None, WithdrawReason::Requested);
        for node in &self.nodes {
            match node.phase() {
                Phase::Pending => return RegistrationState::Registering,
                Phase::Registered { path } => paths.push(path),
                Phase::Lost(reason) => loss = loss.or(Some(reason)),
                Phase::Over(WithdrawReason::Refused) => withdrawn = WithdrawReason::Refused,
                Phase::Over(_) => {}
            }
        }
        match loss {
            Some(reason) => RegistrationState::Reregistering(reason),
            None if paths.is_empty() => RegistrationState::Withdrawn(withdrawn),
            None => RegistrationState::Registered { paths },
        }
    }

    /// Returns true once nothing will be done any more.
    #[must_use]
    pub(crate) fn is_over(&self) -> bool {
        self.nodes.iter().all(|node| matches!(node.phase(), Phase::Over(_)))
    }

    /// Returns the newest revision that others could read at some time, in every format.
    #[must_use]
    pub(crate) fn visible_revision(&self) -> Option<u64> {
        self.nodes.iter().map(NodeCore::visible).min().flatten()
    }
}

#[cfg(test)]
mod tests;
