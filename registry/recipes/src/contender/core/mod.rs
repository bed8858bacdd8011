//! Life of one node that contends for a turn, as a state machine: inputs and the time go in, one step at a time comes out. It
//! knows no connection, clock or task, and learns of the nodes from the server's answers only.
//!
//! Four rules carry it:
//! - A create whose reply was lost may have made the node. Its name has a GUID, so the core looks for that name before it does
//!   anything else; a second node would wait for the first for ever.
//! - A node is ours only if the current session owns it.
//! - The end of the node before ours is no turn yet: only a list says whose turn it is.
//! - A lost connection ends nothing as long as the session lives. But nobody can be sure of a turn without a connection, nor after
//!   it before a look at the node.

mod queue;

#[cfg(test)]
mod tests;

use common::Millis;
use zk_client::{SessionId, Zxid};

use crate::guid::Guid;
use crate::naming::{Naming, Role};
use crate::node::Node;
use crate::patience::{MAX_PAUSE, Patience};
use queue::Turn;
pub(crate) use queue::in_order;

/// Events that the shell reports.
#[derive(Clone, Debug)]
pub(crate) enum Input {
    /// A connection exists, under this session. Comes before the outcome of any step of that session.
    Connected(SessionId),
    /// No connection exists; the session may live on.
    Disconnected,
    /// The session has ended, and there is no other one yet.
    SessionOver,
    /// The last step is over.
    Done(StepOutcome),
    /// The watch on our node fired or was lost.
    NodeChanged,
    /// The watch on what is before us fired or was lost.
    QueueChanged,
    /// The turn is not wanted any more. Final.
    Withdraw,
    /// The deadline has come.
    Timeout,
}

/// One step to perform. [`Input::Done`] answers it before the next comes out.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Output {
    /// Create the parent if it is missing.
    EnsureParent,
    /// Create an ephemeral sequential node of this name; the server appends a counter.
    Create { name: String },
    /// Let the server catch up, then look for a node whose name begins with this one.
    Find { name: String },
    /// List the names of all that contend; with a watch where any change may bring our turn.
    List { watch: bool },
    /// Watch the node of this name.
    Watch { name: String },
    /// Read the owner of our node, and watch the node.
    Check { path: String },
    /// Delete our node.
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
    /// Names of all that contend.
    Listed(Vec<String>),
    /// True if the node exists; a watch is set then.
    Watched(bool),
    /// The node's owner, if the node exists; a watch is set.
    Checked(Option<SessionId>),
    /// The node was deleted.
    Deleted,
    /// The step failed.
    Failed(StepFailure),
}

/// Cause of a failed step.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum StepFailure {
    /// The node, or the parent, does not exist.
    NoNode,
    /// No answer: the step was performed or not.
    Unanswered,
    /// The step was not performed, and may work later.
    NotDone,
    /// The step was not performed, and a retry only helps after a change on the server.
    Refused,
}

/// Reason why a lock, or a lead, was lost.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Loss {
    /// The session has expired, and the node has gone with it.
    SessionExpired,
    /// Somebody has deleted the node.
    Deleted,
    /// The client was closed, or its runtime has ended.
    Closed,
}

/// Progress, as others see it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Phase {
    /// Our place in the queue is not known.
    Joining,
    /// Others are before us.
    Waiting,
    /// It is our turn, since the node of this path and transaction was made; `sure` if nothing speaks against it.
    Holding { path: String, created: Zxid, sure: bool },
    /// The turn was lost. Final; a core that queues again is [`Self::Joining`] instead.
    Lost(Loss),
    /// Over.
    Withdrawn,
}

/// Names, role and persistence of a contender.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    pub(crate) naming: Naming,
    pub(crate) role: Role,
    /// True to queue again after a turn was lost.
    pub(crate) again: bool,
}

/// The state machine.
#[derive(Debug)]
pub(crate) struct Core {
    terms: Terms,
    session: SessionId,
    connected: bool,
    withdrawn: bool,
    lost: Option<Loss>,
    node: NodeState,
    parent_missing: bool,
    in_flight: Option<Output>,
    /// True if the step under way was begun over an earlier connection.
    is_outlived: bool,
    not_before: Option<Millis>,
    patience: Patience,
    random: fastrand::Rng,
}

/// Knowledge about our node.
#[derive(Clone, Debug)]
enum NodeState {
    /// It does not exist.
    Absent,
    /// A create was not answered: a node of this name exists or not.
    Unconfirmed { name: String },
    /// It exists since a time.
    Present { node: Node, since: Millis, standing: Standing },
    /// The server refused to delete it: it stays until the session ends.
    Abandoned,
}

/// Knowledge about its place in the queue.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Standing {
    /// Not known, or not any more.
    Unknown,
    /// Behind the node of this name; `watched` if we would hear of its end.
    Behind { name: String, watched: bool },
    /// All places are taken; we would hear of a change.
    Full,
    /// Ours; `watched` if we would hear of the end of our node, `doubtful` if something has happened to it.
    Ours { watched: bool, doubtful: bool },
}

impl Core {
    pub(crate) fn new(seed: u64, terms: Terms) -> Self {
        Self {
            terms,
            session: SessionId::NONE,
            connected: false,
            withdrawn: false,
            lost: None,
            node: NodeState::Absent,
            parent_missing: false,
            in_flight: None,
            is_outlived: false,
            not_before: None,
            patience: Patience::new(seed),
            // Another stream than that of the pauses, which draw from the same seed.
            random: fastrand::Rng::with_seed(!seed),
        }
    }

    /// Takes an input. Call [`Self::poll_output`] afterwards.
    pub(crate) fn handle(&mut self, now: Millis, input: Input) {
        match input {
            Input::Connected(session) => {
                if self.connected {
                    // Only the last state is heard of.
                    self.disconnected();
                }
                if self.session != session || !self.connected {
                    self.not_before = None;
                }
                self.connected = true;
                self.session = session;
                if matches!(&self.node, NodeState::Present { node, .. } if node.owner != session) {
                    self.lose(now, Loss::SessionExpired);
                }
            }
            Input::Disconnected => self.disconnected(),
            Input::SessionOver => {
                self.connected = false;
                if matches!(self.node, NodeState::Present { .. }) {
                    self.lose(now, Loss::SessionExpired);
                }
            }
            Input::Done(outcome) => {
                if let Some(step) = self.in_flight.take() {
                    self.done(now, step, outcome);
                }
                if std::mem::take(&mut self.is_outlived) {
                    self.doubt();
                }
            }
            Input::NodeChanged => self.doubt(),
            Input::QueueChanged => {
                if let Some(standing @ (Standing::Behind { .. } | Standing::Full)) = self.standing() {
                    *standing = Standing::Unknown;
                }
            }
            Input::Withdraw => {
                self.withdrawn = true;
                self.not_before = None;
            }
            Input::Timeout => self.not_before = self.not_before.filter(|&at| at > now),
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

    /// Returns the progress.
    #[must_use]
    pub(crate) fn phase(&self) -> Phase {
        if let Some(loss) = self.lost {
            return Phase::Lost(loss);
        }
        match &self.node {
            NodeState::Abandoned => Phase::Withdrawn,
            NodeState::Absent if self.withdrawn && self.in_flight.is_none() => Phase::Withdrawn,
            NodeState::Present { node: Node { path, created, .. }, standing, .. } => match standing {
                Standing::Ours { doubtful, .. } => {
                    let sure = self.connected && !doubtful;
                    Phase::Holding { path: path.clone(), created: *created, sure }
                }
                Standing::Unknown => Phase::Joining,
                Standing::Behind { .. } | Standing::Full => Phase::Waiting,
            },
            NodeState::Absent | NodeState::Unconfirmed { .. } => Phase::Joining,
        }
    }

    fn next_step(&mut self) -> Option<Output> {
        if self.lost.is_some() {
            return None;
        }
        match &self.node {
            NodeState::Abandoned => None,
            NodeState::Unconfirmed { name } => Some(Output::Find { name: name.clone() }),
            NodeState::Present { node, .. } if self.withdrawn => {
                Some(Output::Delete { path: node.path.clone() })
            }
            NodeState::Present { node, standing, .. } => match standing {
                Standing::Unknown => Some(Output::List { watch: matches!(self.terms.role, Role::Lease(_)) }),
                Standing::Behind { name, watched: false } => Some(Output::Watch { name: name.clone() }),
                Standing::Ours { watched: false, .. } => Some(Output::Check { path: node.path.clone() }),
                Standing::Behind { .. } | Standing::Full | Standing::Ours { .. } => None,
            },
            NodeState::Absent if self.withdrawn => None,
            NodeState::Absent if self.parent_missing => Some(Output::EnsureParent),
            NodeState::Absent => {
                let guid = Guid::new(self.session, self.random.u64(..));
                let name = self.terms.naming.name(guid, self.terms.role);
                // The node may exist before the create is answered.
                self.node = NodeState::Unconfirmed { name: name.clone() };
                Some(Output::Create { name })
            }
        }
    }

    fn done(&mut self, now: Millis, step: Output, outcome: StepOutcome) {
        match (step, outcome) {
            (Output::EnsureParent, StepOutcome::ParentExists) => self.parent_missing = false,
            (Output::Create { .. }, StepOutcome::Created(node))
            | (Output::Find { .. }, StepOutcome::Found(Some(node))) => self.arrived(now, node),
            (Output::Find { .. }, StepOutcome::Found(None)) => self.node = NodeState::Absent,
            (Output::List { .. }, StepOutcome::Listed(names)) => self.listed(now, &names),
            (Output::Watch { .. }, StepOutcome::Watched(exists)) => match self.standing() {
                Some(Standing::Behind { watched, .. }) if exists => *watched = true,
                Some(standing) => *standing = Standing::Unknown,
                None => {}
            },
            (Output::Check { .. }, StepOutcome::Checked(owner)) => self.checked(now, owner),
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
            // Its parent has gone, and it has gone before.
            (Output::List { .. }, StepFailure::NoNode) => return self.lose(now, Loss::Deleted),
            (Output::Delete { .. }, StepFailure::NoNode) => self.node = NodeState::Absent,
            (Output::Find { .. } | Output::Delete { .. }, StepFailure::Refused) if self.withdrawn => {
                self.node = NodeState::Abandoned;
            }
            _ => {}
        }
        self.retry_later(now);
    }

    fn arrived(&mut self, now: Millis, node: Node) {
        let is_ours = node.owner == self.session;
        self.node = NodeState::Present { node, since: now, standing: Standing::Unknown };
        if !is_ours {
            self.lose(now, Loss::SessionExpired);
        }
    }

    fn listed(&mut self, now: Millis, names: &[String]) {
        let NodeState::Present { node, standing, .. } = &mut self.node else { return };
        let own = node.path.rsplit('/').next().unwrap_or_default();
        *standing = match queue::turn(self.terms.role, names, own) {
            Turn::Ours => Standing::Ours { watched: false, doubtful: false },
            Turn::Behind(name) => Standing::Behind { name, watched: false },
            Turn::Full => Standing::Full,
            Turn::Gone => return self.lose(now, Loss::Deleted),
        };
    }

    fn checked(&mut self, now: Millis, found: Option<SessionId>) {
        let NodeState::Present { node, standing, .. } = &mut self.node else { return };
        if found == Some(node.owner) {
            *standing = Standing::Ours { watched: true, doubtful: false };
        } else {
            self.lose(now, Loss::Deleted);
        }
    }

    /// Gives up our node: it is gone, or will go with a session that is no longer ours.
    fn lose(&mut self, now: Millis, loss: Loss) {
        let NodeState::Present { since, standing, .. } = &self.node else { return };
        if matches!(standing, Standing::Ours { .. }) && !self.terms.again && !self.withdrawn {
            self.lost = Some(loss);
        }
        // A node that lived for long was a success; one that is deleted again and again must not be created without a pause.
        if now.since(*since) >= MAX_PAUSE {
            self.patience.reset();
        }
        self.node = NodeState::Absent;
        self.retry_later(now);
    }

    fn disconnected(&mut self) {
        self.connected = false;
        self.is_outlived = self.in_flight.is_some();
        // When there is a connection again, the watch may have fired meanwhile, and its event be on its way.
        self.doubt();
    }

    /// Believes in our turn only after another look.
    fn doubt(&mut self) {
        if let Some(Standing::Ours { watched, doubtful }) = self.standing() {
            (*watched, *doubtful) = (false, true);
        }
    }

    fn retry_later(&mut self, now: Millis) {
        let at = now + self.patience.pause();
        self.not_before = (at > now).then_some(at);
    }

    fn standing(&mut self) -> Option<&mut Standing> {
        match &mut self.node {
            NodeState::Present { standing, .. } => Some(standing),
            _ => None,
        }
    }
}
