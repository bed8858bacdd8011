//! Life of one instance's node, as a state machine: inputs and the time go in, one step at a time comes out. It knows no
//! connection, clock or task, and learns of the node from the server's answers only.
//!
//! Three rules carry it:
//! - A create whose reply was lost may have made the node. The name of the node holds a GUID (the session's id and a
//!   random number), so the core looks for that name before it does anything else.
//! - A node is ours only if the current session owns it. A node that our own expired session left behind will go by
//!   itself: it is neither taken over nor touched.
//! - A lost connection changes nothing as long as the session lives.

use bytes::Bytes;
use common::Millis;
use zk_wire::SessionId;

use crate::retry::{MAX_PAUSE, RetrySchedule};

/// Events that the shell reports.
#[derive(Clone, Debug)]
pub(crate) enum Input {
    /// A connection exists, under this session. Comes before the outcome of any step of that session.
    Connected(SessionId),
    /// No connection exists; the session may live on.
    Disconnected,
    /// The last step is over.
    Done(StepOutcome),
    /// The watch on our node fired or was lost.
    NodeChanged,
    /// Newer data to publish. Revisions grow.
    Update { data: Bytes, revision: u64 },
    /// Nothing is to be published any more. Final.
    Withdraw,
    /// The deadline has come.
    Timeout,
}

/// One step to perform. [`Input::Done`] answers it before the next comes out.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Output {
    /// Create the service's node if it is missing.
    EnsureParent,
    /// Create an ephemeral sequential node of this name; the server appends a counter.
    Create { name: String, data: Bytes },
    /// Let the server catch up, then look for a node whose name begins with this one.
    Find { name: String },
    /// Read the node's owner, and watch the node.
    Check { path: String },
    /// Set the node's data.
    Set { path: String, data: Bytes, revision: u64 },
    /// Delete the node.
    Delete { path: String },
}

/// End of a step.
#[derive(Clone, Debug)]
pub(crate) enum StepOutcome {
    /// The parent exists.
    ParentExists,
    /// The node was created.
    Created(Node),
    /// The node that was found, if any.
    Found(Option<Node>),
    /// The node's owner, if the node exists; a watch is set.
    Checked(Option<SessionId>),
    /// The data was set.
    Set,
    /// The node was deleted.
    Deleted,
    /// The step failed.
    Failed(StepFailure),
}

/// A node as the server knows it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Node {
    pub(crate) path: String,
    pub(crate) owner: SessionId,
}

/// Cause of a failed step.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum StepFailure {
    /// The node, or the parent of a node to create, does not exist.
    NoNode,
    /// No answer: the step was performed or not.
    Unanswered,
    /// The step was not performed, and may work later.
    NotDone,
    /// The step was not performed, and a retry only helps after a change on the server.
    Refused,
}

/// Progress of the registration, as others see it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Phase {
    /// No node is known to be ours.
    Pending,
    /// The node at this path is ours.
    Registered { path: String },
    /// Over.
    Withdrawn,
}

/// The state machine.
#[derive(Debug)]
pub(crate) struct Core {
    session: SessionId,
    connected: bool,
    data: Bytes,
    revision: u64,
    withdrawn: bool,
    node: NodeState,
    parent_missing: bool,
    in_flight: Option<Output>,
    not_before: Option<Millis>,
    retries: RetrySchedule,
    random: fastrand::Rng,
}

/// Knowledge about our node.
#[derive(Clone, Debug)]
enum NodeState {
    /// It does not exist.
    Absent,
    /// A create was not answered: a node of this name exists or not.
    Unconfirmed { name: String, revision: u64 },
    /// It exists since a time, with the data of a revision; `watched` if we would hear of its end.
    Present { node: Node, since: Millis, revision: u64, watched: bool },
    /// The server refused to delete it: it stays until the session ends.
    Abandoned,
}

impl Core {
    pub(crate) fn new(seed: u64, data: Bytes) -> Self {
        Self {
            session: SessionId::NONE,
            connected: false,
            data,
            revision: 0,
            withdrawn: false,
            node: NodeState::Absent,
            parent_missing: false,
            in_flight: None,
            not_before: None,
            retries: RetrySchedule::new(seed),
            // Another stream than that of the retries, which draw from the same seed.
            random: fastrand::Rng::with_seed(!seed),
        }
    }

    /// Takes an input. Call [`Self::poll_output`] afterwards.
    pub(crate) fn handle(&mut self, now: Millis, input: Input) {
        match input {
            Input::Connected(session) => {
                if self.session != session || !self.connected {
                    self.not_before = None;
                }
                self.connected = true;
                self.session = session;
                if matches!(&self.node, NodeState::Present { node, .. } if node.owner != session) {
                    self.lost(now);
                }
            }
            Input::Disconnected => self.connected = false,
            Input::Done(outcome) => {
                if let Some(step) = self.in_flight.take() {
                    self.done(now, step, outcome);
                }
            }
            Input::NodeChanged => {
                if let NodeState::Present { watched, .. } = &mut self.node {
                    *watched = false;
                }
            }
            Input::Update { data, revision } => {
                self.data = data;
                self.revision = revision;
                self.not_before = None;
            }
            Input::Withdraw => {
                self.withdrawn = true;
                self.not_before = None;
            }
            Input::Timeout => {
                self.not_before = self.not_before.filter(|&at| at > now);
            }
        }
    }

    /// Returns the next step, if there is one to perform now.
    #[must_use]
    pub(crate) fn poll_output(&mut self) -> Option<Output> {
        if self.in_flight.is_some() || !self.connected || self.not_before.is_some() {
            return None;
        }
        self.in_flight = self.next_step();
        self.in_flight.clone()
    }

    /// Returns the time at which [`Input::Timeout`] is due.
    #[must_use]
    pub(crate) fn poll_deadline(&self) -> Option<Millis> {
        self.not_before.filter(|_| self.connected && self.in_flight.is_none())
    }

    /// Returns the progress of the registration.
    #[must_use]
    pub(crate) fn phase(&self) -> Phase {
        match &self.node {
            NodeState::Abandoned => Phase::Withdrawn,
            NodeState::Absent if self.withdrawn && self.in_flight.is_none() => Phase::Withdrawn,
            NodeState::Present { node, .. } => Phase::Registered { path: node.path.clone() },
            NodeState::Absent | NodeState::Unconfirmed { .. } => Phase::Pending,
        }
    }

    /// Returns the revision of the data that others can read; `None` without a node.
    #[must_use]
    pub(crate) fn visible_revision(&self) -> Option<u64> {
        match self.node {
            NodeState::Present { revision, .. } => Some(revision),
            _ => None,
        }
    }

    fn next_step(&mut self) -> Option<Output> {
        match &self.node {
            NodeState::Abandoned => None,
            NodeState::Unconfirmed { name, .. } => Some(Output::Find { name: name.clone() }),
            NodeState::Present { node, .. } if self.withdrawn => {
                Some(Output::Delete { path: node.path.clone() })
            }
            NodeState::Present { node, watched: false, .. } => {
                Some(Output::Check { path: node.path.clone() })
            }
            NodeState::Present { node, revision, .. } if *revision < self.revision => {
                let (path, data) = (node.path.clone(), self.data.clone());
                Some(Output::Set { path, data, revision: self.revision })
            }
            NodeState::Present { .. } => None,
            NodeState::Absent if self.withdrawn => None,
            NodeState::Absent if self.parent_missing => Some(Output::EnsureParent),
            NodeState::Absent => {
                let name = format!("{:016x}{:016x}-", self.session.0, self.random.u64(..));
                // The node may exist before the create is answered.
                self.node = NodeState::Unconfirmed { name: name.clone(), revision: self.revision };
                Some(Output::Create { name, data: self.data.clone() })
            }
        }
    }

    fn done(&mut self, now: Millis, step: Output, outcome: StepOutcome) {
        match (step, outcome) {
            (Output::EnsureParent, StepOutcome::ParentExists) => self.parent_missing = false,
            (Output::Create { .. }, StepOutcome::Created(node))
            | (Output::Find { .. }, StepOutcome::Found(Some(node))) => self.arrived(now, node),
            (Output::Find { .. }, StepOutcome::Found(None)) => self.node = NodeState::Absent,
            (Output::Check { .. }, StepOutcome::Checked(owner)) => self.checked(now, owner),
            (Output::Set { revision: new, .. }, StepOutcome::Set) => {
                if let NodeState::Present { revision, .. } = &mut self.node {
                    *revision = new;
                }
            }
            (Output::Delete { .. }, StepOutcome::Deleted) => self.node = NodeState::Absent,
            (step, StepOutcome::Failed(failure)) => self.failed(now, &step, failure),
            (step, outcome) => unreachable!("{step:?} cannot end with {outcome:?}"),
        }
    }

    fn failed(&mut self, now: Millis, step: &Output, failure: StepFailure) {
        match (step, failure) {
            (Output::Create { .. } | Output::Find { .. }, StepFailure::NoNode) => {
                self.parent_missing = true;
                self.node = NodeState::Absent;
            }
            (Output::Create { .. }, StepFailure::NotDone | StepFailure::Refused) => {
                self.node = NodeState::Absent;
            }
            (Output::Set { .. }, StepFailure::NoNode) => return self.lost(now),
            (Output::Delete { .. }, StepFailure::NoNode) => self.node = NodeState::Absent,
            (Output::Find { .. } | Output::Delete { .. }, StepFailure::Refused) if self.withdrawn => {
                self.node = NodeState::Abandoned;
            }
            _ => {}
        }
        self.retry_later(now);
    }

    fn arrived(&mut self, now: Millis, node: Node) {
        let NodeState::Unconfirmed { revision, .. } = self.node else { return };
        let is_ours = node.owner == self.session;
        self.node = NodeState::Present { node, since: now, revision, watched: false };
        if !is_ours {
            self.lost(now);
        }
    }

    fn checked(&mut self, now: Millis, found: Option<SessionId>) {
        if let NodeState::Present { node, watched, .. } = &mut self.node {
            *watched = true;
            if found != Some(node.owner) {
                self.lost(now);
            }
        }
    }

    /// Gives up our node: it is gone, or will go with a session that is no longer ours.
    fn lost(&mut self, now: Millis) {
        // A node that lived for long was a success; one that is deleted again and again must not be created without a pause.
        if matches!(self.node, NodeState::Present { since, .. } if now.since(since) >= MAX_PAUSE) {
            self.retries.reset();
        }
        self.node = NodeState::Absent;
        self.retry_later(now);
    }

    fn retry_later(&mut self, now: Millis) {
        let at = self.retries.next(now);
        self.not_before = (at > now).then_some(at);
    }
}

#[cfg(test)]
mod tests;
