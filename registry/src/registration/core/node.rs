//! Life of one node: the instance in one format.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use common::Millis;
use zk_wire::{Expected, SessionId, Version};

use super::message::{Node, NodeInput, NodeName, Output, StepFailure, StepOutcome};
use super::state::{LossReason, OnDelete, WithdrawReason};
use crate::codec::Naming;
use crate::retry::{MAX_PAUSE, RetrySchedule};

/// Longest pause by chance before a node is created again: when the session of many ends at once, or somebody deletes the
/// service, they do not all write in the same moment.
const SPREAD: Millis = Millis(50);

/// Number of our sessions to remember. Nodes of more than one are left only while sessions end one after the other.
const REMEMBERED: usize = 16;

/// Progress of one node.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Phase {
    /// No node was known to be ours yet.
    Pending,
    /// The node at this path is ours.
    Registered { path: String },
    /// Our node is gone; another one comes.
    Lost(LossReason),
    /// Nothing is left to do, and nothing will be.
    Over(WithdrawReason),
}

/// The state machine of one node.
#[derive(Debug)]
pub(super) struct NodeCore {
    naming: Naming,
    /// Name of the node, if it is fixed.
    id: Arc<str>,
    on_delete: OnDelete,
    session: SessionId,
    /// Last sessions in which we may have created a node: one that an earlier session owns is a leftover of ours.
    creators: VecDeque<SessionId>,
    connected: bool,
    data: Bytes,
    revision: u64,
    /// Newest revision that others could read at some time.
    visible: Option<u64>,
    withdrawn: bool,
    node: NodeState,
    /// Reason of the last loss of a node that was ours.
    loss: Option<LossReason>,
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
    /// A create was sent: a node of this name and version, with the data of a revision, exists or not.
    Unconfirmed { name: NodeName, version: Version, revision: u64, made: Made },
    /// Another node has our name; `None` if we do not know it yet.
    Taken { by: Option<Node> },
    /// It exists since a time, with the data of a revision; `None` if somebody else may have written.
    Present { node: Node, since: Millis, revision: Option<u64>, view: View },
    /// Nothing will be done any more.
    Over(WithdrawReason),
}

/// Knowledge about the last create.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Made {
    No,
    Perhaps,
    Yes,
}

/// Knowledge about our node's version and end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum View {
    /// We would hear of its end.
    Current,
    /// We would hear of its end, but something may have happened that we have not heard of yet.
    Stale,
    /// Nobody tells us.
    Unwatched,
}

impl NodeCore {
    pub(super) fn new(seed: u64, naming: Naming, id: Arc<str>, on_delete: OnDelete, data: Bytes) -> Self {
        Self {
            naming,
            id,
            on_delete,
            session: SessionId::NONE,
            creators: VecDeque::new(),
            connected: false,
            data,
            revision: 0,
            visible: None,
            withdrawn: false,
            node: NodeState::Absent,
            loss: None,
            parent_missing: false,
            in_flight: None,
            not_before: None,
            retries: RetrySchedule::new(seed),
            // Another stream than that of the retries, which draw from the same seed.
            random: fastrand::Rng::with_seed(!seed),
        }
    }

    pub(super) fn handle(&mut self, now: Millis, input: NodeInput) {
        match input {
            NodeInput::Connected(session) => self.connected(now, session),
            NodeInput::Disconnected => {
                self.connected = false;
                self.doubt();
            }
            NodeInput::SessionOver => {
                self.connected = false;
                match self.node {
                    NodeState::Present { .. } | NodeState::Unconfirmed { made: Made::Yes, .. } => {
                        self.lost(now, LossReason::SessionExpired);
                    }
                    NodeState::Unconfirmed { .. } => self.node = NodeState::Absent,
                    NodeState::Absent | NodeState::Taken { .. } | NodeState::Over(_) => {}
                }
            }
            NodeInput::Done(outcome) => {
                if let Some(step) = self.in_flight.take() {
                    self.done(now, step, outcome);
                }
            }
            NodeInput::NodeChanged => {
                if let NodeState::Present { view, .. } = &mut self.node {
                    *view = View::Unwatched;
                }
            }
            NodeInput::Update { data, revision } => {
                self.data = data;
                self.revision = revision;
                self.not_before = None;
            }
            NodeInput::Withdraw => {
                self.withdrawn = true;
                self.not_before = None;
            }
            NodeInput::Timeout => {
                self.not_before = self.not_before.filter(|&at| at > now);
            }
        }
    }

    #[must_use]
    pub(super) fn poll_output(&mut self) -> Option<Output> {
        if self.in_flight.is_some() || !self.connected || self.not_before.is_some() {
            return None;
        }
        self.in_flight = self.next_step();
        self.in_flight.clone()
    }

    #[must_use]
    pub(super) fn poll_deadline(&self) -> Option<Millis> {
        self.not_before.filter(|_| self.connected && self.in_flight.is_none())
    }

    #[must_use]
    pub(super) fn phase(&self) -> Phase {
        match &self.node {
            NodeState::Over(reason) => Phase::Over(reason.clone()),
            NodeState::Absent | NodeState::Taken { .. } if self.withdrawn && self.in_flight.is_none() => {
                Phase::Over(WithdrawReason::Requested)
            }
            NodeState::Present { node, .. } => Phase::Registered { path: node.path.clone() },
            _ => self.loss.clone().map_or(Phase::Pending, Phase::Lost),
        }
    }

    #[must_use]
    pub(super) fn visible(&self) -> Option<u64> {
        self.visible
    }

    fn next_step(&mut self) -> Option<Output> {
        match &self.node {
            NodeState::Over(_) => None,
            NodeState::Unconfirmed { name, .. } => Some(Output::Find { name: name.clone() }),
            NodeState::Absent | NodeState::Taken { .. } if self.withdrawn => None,
            NodeState::Absent if self.parent_missing => Some(Output::EnsureParent),
            NodeState::Absent => {
                let name = self.next_name();
                self.sent(name.clone(), Version(0));
                Some(Output::Create { name, data: self.data.clone() })
            }
            NodeState::Taken { by: None } => {
                Some(Output::Find { name: NodeName::Fixed(self.id.to_string()) })
            }
            NodeState::Taken { by: Some(node) } => {
                let (name, version) = (self.id.to_string(), node.version);
                // A write that is meant for the old node must not fit the new one.
                let writes_twice = version == Version(0);
                self.sent(NodeName::Fixed(name.clone()), Version(writes_twice.into()));
                Some(Output::Replace { name, version, data: self.data.clone(), writes_twice })
            }
            NodeState::Present { node, revision, view, .. } => {
                let path = node.path.clone();
                // The name of a sequential node is its own for ever; under a fixed one another node may stand by now.
                let (version, is_certain) = match self.is_fixed() {
                    true => (Expected::Exactly(node.version), *view == View::Current),
                    false => (Expected::Any, true),
                };
                let is_old = *revision < Some(self.revision);
                match () {
                    () if self.withdrawn && is_certain => Some(Output::Delete { path, version }),
                    () if *view == View::Unwatched => Some(Output::Check { path }),
                    () if (self.withdrawn || is_old) && !is_certain => Some(Output::Check { path }),
                    () if is_old => {
                        let (data, revision) = (self.data.clone(), self.revision);
                        Some(Output::Set { path, version, data, revision })
                    }
                    () => None,
                }
            }
        }
    }

    fn is_fixed(&self) -> bool {
        self.naming == Naming::Id
    }

    fn next_name(&mut self) -> NodeName {
        match self.naming.beginning(self.session.0.cast_unsigned(), self.random.u64(..)) {
            Some(name) => NodeName::Sequential(name),
            None => NodeName::Fixed(self.id.to_string()),
        }
    }

    /// Notes that a node may exist before the step that makes it is answered.
    fn sent(&mut self, name: NodeName, version: Version) {
        if self.creators.front() != Some(&self.session) {
            self.creators.truncate(REMEMBERED - 1);
            self.creators.push_front(self.session);
        }
        self.node = NodeState::Unconfirmed { name, version, revision: self.revision, made: Made::Perhaps };
    }

    fn connected(&mut self, now: Millis, session: SessionId) {
        let is_next = self.session != session && self.session != SessionId::NONE;
        if self.session != session || !self.connected {
            // The client has paused before it connected.
            self.not_before = None;
            self.retries.reset();
        }
        self.connected = true;
        self.session = session;
        // Only the last state of the client is heard of: the connection may be another one.
        self.doubt();
        if matches!(&self.node, NodeState::Present { node, .. } if node.owner != session) {
            self.lost(now, LossReason::SessionExpired);
        } else if is_next && matches!(self.node, NodeState::Absent) {
            self.spread(now, now);
        }
    }

    fn done(&mut self, now: Millis, step: Output, outcome: StepOutcome) {
        match (step, outcome) {
            (Output::EnsureParent, StepOutcome::ParentExists) => self.parent_missing = false,
            (Output::Create { .. }, StepOutcome::Created(node)) => self.found(now, Some(node)),
            (Output::Find { .. }, StepOutcome::Found(node)) => self.found(now, node),
            (Output::Replace { .. }, StepOutcome::Replaced) => {
                // The answer does not say which node it made: look for it.
                if let NodeState::Unconfirmed { made, .. } = &mut self.node {
                    *made = Made::Yes;
                }
            }
            (Output::Check { .. }, StepOutcome::Checked(node)) => self.checked(now, node),
            (Output::Set { revision, .. }, StepOutcome::Set(node)) => self.set(now, &node, revision),
            (Output::Delete { .. }, StepOutcome::Deleted) => self.node = NodeState::Absent,
            (step, StepOutcome::Failed(failure)) => self.failed(now, &step, failure),
            (step, outcome) => unreachable!("{step:?} cannot end with {outcome:?}"),
        }
    }

    fn failed(&mut self, now: Millis, step: &Output, failure: StepFailure) {
        use StepFailure::{BadVersion, NoNode, NodeExists, NotDone, Refused, Unanswered};
        match (step, failure) {
            (Output::Create { name: NodeName::Fixed(_), .. }, NodeExists) => {
                self.node = NodeState::Taken { by: None };
                return;
            }
            (Output::Create { .. } | Output::Find { .. }, NoNode) => {
                self.parent_missing = true;
                self.node = NodeState::Absent;
            }
            (Output::Create { .. }, NotDone | Refused)
            | (Output::Replace { .. } | Output::Delete { .. }, NoNode) => self.node = NodeState::Absent,
            (Output::Replace { .. }, NodeExists | BadVersion | NotDone | Refused) => {
                self.node = NodeState::Taken { by: None };
            }
            (Output::Set { .. }, NoNode) if matches!(self.node, NodeState::Present { .. }) => {
                return self.gone(now);
            }
            (Output::Set { .. } | Output::Delete { .. }, BadVersion) => return self.doubt(),
            (Output::Set { .. } | Output::Delete { .. }, Unanswered) => self.doubt(),
            (Output::Find { .. } | Output::Check { .. } | Output::Delete { .. }, Refused)
                if self.withdrawn =>
            {
                self.node = NodeState::Over(WithdrawReason::Refused);
            }
            // The node was lost meanwhile, and has its pause.
            (Output::Check { .. } | Output::Set { .. } | Output::Delete { .. }, _)
                if !matches!(self.node, NodeState::Present { .. }) =>
            {
                return;
            }
            _ => {}
        }
        self.retry_later(now);
    }

    /// Takes the node that has our name, after a create or a search.
    fn found(&mut self, now: Millis, found: Option<Node>) {
        let (revision, version, made) = match &self.node {
            NodeState::Unconfirmed { revision, version, made, .. } => (*revision, *version, *made),
            NodeState::Taken { .. } => (self.revision, Version(0), Made::No),
            _ => return,
        };
        let Some(node) = found else {
            return match made {
                // It went with the session that made it.
                Made::Yes if self.creators.front() != Some(&self.session) => {
                    self.lost(now, LossReason::SessionExpired);
                }
                Made::Yes => self.gone(now),
                Made::No | Made::Perhaps => self.node = NodeState::Absent,
            };
        };
        if node.owner == self.session && made != Made::No {
            self.visible = self.visible.max(Some(revision));
            let revision = (node.version == version).then_some(revision);
            self.node = NodeState::Present { node, since: now, revision, view: View::Unwatched };
            return;
        }
        if !self.is_fixed() {
            // A leftover of ours: it goes by itself.
            self.node = NodeState::Absent;
            self.retry_later(now);
        } else if (made == Made::Yes || self.loss.is_some()) && !self.is_leftover(&node) {
            // The newer instance is that which has found the name taken at its first attempt.
            self.ended(WithdrawReason::Replaced);
        } else {
            self.node = NodeState::Taken { by: Some(node) };
        }
    }

    fn checked(&mut self, now: Millis, found: Option<Node>) {
        let NodeState::Present { node, view, revision, .. } = &mut self.node else { return };
        match found {
            Some(found) if found.created == node.created && found.owner == node.owner => {
                *view = View::Current;
                // Another instance of our id may have written to the node that it took for its own.
                let is_foreign = self.naming == Naming::Id && found.version != node.version;
                node.version = found.version;
                if is_foreign {
                    *revision = None;
                    self.retry_later(now);
                }
            }
            Some(other) => self.other(now, &other),
            None => self.gone(now),
        }
    }

    fn set(&mut self, now: Millis, found: &Node, new: u64) {
        let NodeState::Present { node, revision, .. } = &mut self.node else { return };
        if found.created != node.created {
            return self.other(now, found);
        }
        node.version = found.version;
        *revision = Some(new);
        self.visible = self.visible.max(Some(new));
    }

    /// Gives up our node, because another one has its name.
    fn other(&mut self, now: Millis, other: &Node) {
        if self.is_fixed() && !self.is_leftover(other) {
            self.ended(WithdrawReason::Replaced);
        } else {
            self.lost(now, LossReason::NodeDeleted);
        }
    }

    fn is_leftover(&self, node: &Node) -> bool {
        node.owner != self.session && self.creators.contains(&node.owner)
    }

    /// Gives up our node, because somebody has deleted it, or we have.
    fn gone(&mut self, now: Millis) {
        match self.on_delete {
            OnDelete::Restore => self.lost(now, LossReason::NodeDeleted),
            OnDelete::Drain => self.ended(WithdrawReason::Deleted),
        }
    }

    /// Ends with this reason, unless the end was wanted anyway.
    fn ended(&mut self, reason: WithdrawReason) {
        self.node = if self.withdrawn { NodeState::Absent } else { NodeState::Over(reason) };
    }

    /// Gives up our node: it is gone, or will go with a session that is no longer ours.
    fn lost(&mut self, now: Millis, reason: LossReason) {
        // A node that lived for long was a success; one that is deleted again and again must not be created without a pause.
        if matches!(self.node, NodeState::Present { since, .. } if now.since(since) >= MAX_PAUSE) {
            self.retries.reset();
        }
        self.node = NodeState::Absent;
        let at = match reason {
            // Sessions come with pauses of their own.
            LossReason::SessionExpired => now,
            _ => self.retries.next(now),
        };
        self.spread(now, at);
        self.loss = Some(reason);
    }

    /// Waits until a moment by chance after this time, as others that have lost their nodes as well do.
    fn spread(&mut self, now: Millis, at: Millis) {
        let spread = Millis(self.random.u64(0..=SPREAD.0));
        self.pause(now, at + spread);
    }

    fn doubt(&mut self) {
        if let NodeState::Present { view: view @ View::Current, .. } = &mut self.node {
            *view = View::Stale;
        }
    }

    fn retry_later(&mut self, now: Millis) {
        let at = self.retries.next(now);
        self.pause(now, at);
    }

    fn pause(&mut self, now: Millis, until: Millis) {
        self.not_before = (until > now).then_some(until);
    }
}
