//! The life of one instance's node, as a state machine: inputs and the time go in, one step at a time comes out.
//! It knows no connection, clock or task, and what it remembers of the node is only what was answered.
//!
//! Three rules carry it:
//! - A create whose reply was lost may have made the node. Its name holds a GUID (the session's id and a random
//!   number), so before anything else the node is looked for.
//! - A node counts as ours only if it is owned by the session that we have now. One that our own dead session
//!   left behind is on its way out: it is neither taken over nor touched.
//! - As long as the session lives, a lost connection is no reason to do anything.

use bytes::Bytes;
use zk_wire::{Millis, SessionId};

use crate::backoff::Backoff;

/// What happened.
#[derive(Clone, Debug)]
pub(crate) enum Input {
    /// There is a connection, under this session. Has to come before the outcome of anything that was done in
    /// the session.
    Connected(SessionId),
    /// There is no connection; the session may live on.
    Disconnected,
    /// The step that was asked for last is over.
    Done(Outcome),
    /// The watch on our node told something, or was lost.
    NodeChanged,
    /// There is newer data to tell. Revisions grow.
    Update { data: Bytes, revision: u64 },
    /// Nothing is to be told any more, for ever.
    Withdraw,
    /// The deadline has come.
    Timeout,
}

/// One thing to do, to be answered by [`Input::Done`] before the next is given out.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Step {
    /// Make sure that the service's node exists.
    EnsureParent,
    /// Create an ephemeral sequential node of this name (and a counter).
    Create { name: String, data: Bytes },
    /// Let the server catch up, then look for a node whose name begins so.
    Find { name: String },
    /// See who owns the node, and watch it.
    Check { path: String },
    /// Set the node's data.
    Set { path: String, data: Bytes, revision: u64 },
    /// Delete the node.
    Delete { path: String },
}

/// How a step ended.
#[derive(Clone, Debug)]
pub(crate) enum Outcome {
    /// The parent exists.
    ParentExists,
    /// The node was created.
    Created(Node),
    /// What was found.
    Found(Option<Node>),
    /// Whose the node is, if there is one; a watch is set.
    Checked(Option<SessionId>),
    /// The data was set.
    Set,
    /// The node was deleted.
    Deleted,
    /// It did not work.
    Failed(Failure),
}

/// A node as the server knows it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Node {
    pub(crate) path: String,
    pub(crate) owner: SessionId,
}

/// Why a step did not work.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Failure {
    /// The node, or the parent of what was to be created, does not exist.
    NoNode,
    /// No answer: it was done or not.
    Unanswered,
    /// It was not done, and may work later.
    NotDone,
    /// It was not done, and trying again does not help unless somebody changes something.
    Refused,
}

/// What is known of the registration from outside.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Phase {
    /// There is no node that is known to be ours.
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
    place: Place,
    parent_missing: bool,
    in_flight: Option<Step>,
    not_before: Option<Millis>,
    backoff: Backoff,
    chance: fastrand::Rng,
}

/// What we know of our node.
#[derive(Clone, Debug)]
enum Place {
    /// There is none.
    Absent,
    /// A create went unanswered: there is one of this name, or not.
    Unsure { name: String, revision: u64 },
    /// It is there: since when, with the data of which revision, and whether we would hear of its end.
    Present { node: Node, since: Millis, revision: u64, watched: bool },
    /// We gave up deleting it: it stays until the session ends.
    GivenUp,
}

impl Core {
    pub(crate) fn new(seed: u64, data: Bytes) -> Self {
        Self {
            session: SessionId::NONE,
            connected: false,
            data,
            revision: 0,
            withdrawn: false,
            place: Place::Absent,
            parent_missing: false,
            in_flight: None,
            not_before: None,
            backoff: Backoff::new(seed),
            // Another stream than the backoff's, which draws from the same seed.
            chance: fastrand::Rng::with_seed(!seed),
        }
    }

    /// Takes an input. Then `poll_step`.
    pub(crate) fn handle(&mut self, now: Millis, input: Input) {
        match input {
            Input::Connected(session) => {
                if self.session != session || !self.connected {
                    self.not_before = None;
                }
                self.connected = true;
                self.session = session;
                if matches!(&self.place, Place::Present { node, .. } if node.owner != session) {
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
                if let Place::Present { watched, .. } = &mut self.place {
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

    /// The next thing to do, if there is one now.
    #[must_use]
    pub(crate) fn poll_step(&mut self) -> Option<Step> {
        if self.in_flight.is_some() || !self.connected || self.not_before.is_some() {
            return None;
        }
        self.in_flight = self.next_step();
        self.in_flight.clone()
    }

    /// When [`Input::Timeout`] is wanted.
    #[must_use]
    pub(crate) fn poll_deadline(&self) -> Option<Millis> {
        self.not_before.filter(|_| self.connected && self.in_flight.is_none())
    }

    /// What can be said of the registration now.
    #[must_use]
    pub(crate) fn phase(&self) -> Phase {
        match &self.place {
            Place::GivenUp => Phase::Withdrawn,
            Place::Absent if self.withdrawn && self.in_flight.is_none() => Phase::Withdrawn,
            Place::Present { node, .. } => Phase::Registered { path: node.path.clone() },
            Place::Absent | Place::Unsure { .. } => Phase::Pending,
        }
    }

    /// The revision of the data that others can read; `None` without a node.
    #[must_use]
    pub(crate) fn told(&self) -> Option<u64> {
        match self.place {
            Place::Present { revision, .. } => Some(revision),
            _ => None,
        }
    }

    fn next_step(&mut self) -> Option<Step> {
        match &self.place {
            Place::GivenUp => None,
            Place::Unsure { name, .. } => Some(Step::Find { name: name.clone() }),
            Place::Present { node, .. } if self.withdrawn => Some(Step::Delete { path: node.path.clone() }),
            Place::Present { node, watched: false, .. } => Some(Step::Check { path: node.path.clone() }),
            Place::Present { node, revision, .. } if *revision < self.revision => {
                let (path, data) = (node.path.clone(), self.data.clone());
                Some(Step::Set { path, data, revision: self.revision })
            }
            Place::Present { .. } => None,
            Place::Absent if self.withdrawn => None,
            Place::Absent if self.parent_missing => Some(Step::EnsureParent),
            Place::Absent => {
                let name = format!("{:016x}{:016x}-", self.session.0, self.chance.u64(..));
                // Until it is answered, it may exist.
                self.place = Place::Unsure { name: name.clone(), revision: self.revision };
                Some(Step::Create { name, data: self.data.clone() })
            }
        }
    }

    fn done(&mut self, now: Millis, step: Step, outcome: Outcome) {
        match (step, outcome) {
            (Step::EnsureParent, Outcome::ParentExists) => self.parent_missing = false,
            (Step::Create { .. }, Outcome::Created(node))
            | (Step::Find { .. }, Outcome::Found(Some(node))) => {
                self.arrived(now, node);
            }
            (Step::Find { .. }, Outcome::Found(None)) => self.place = Place::Absent,
            (Step::Check { .. }, Outcome::Checked(owner)) => self.checked(now, owner),
            (Step::Set { revision: new, .. }, Outcome::Set) => {
                if let Place::Present { revision, .. } = &mut self.place {
                    *revision = new;
                }
            }
            (Step::Delete { .. }, Outcome::Deleted) => self.place = Place::Absent,
            (step, Outcome::Failed(failure)) => self.failed(now, &step, failure),
            (step, outcome) => unreachable!("{step:?} cannot end with {outcome:?}"),
        }
    }

    fn failed(&mut self, now: Millis, step: &Step, failure: Failure) {
        match (step, failure) {
            (Step::Create { .. } | Step::Find { .. }, Failure::NoNode) => {
                self.parent_missing = true;
                self.place = Place::Absent;
            }
            (Step::Create { .. }, Failure::NotDone | Failure::Refused) => self.place = Place::Absent,
            (Step::Set { .. }, Failure::NoNode) => return self.lost(now),
            (Step::Delete { .. }, Failure::NoNode) => self.place = Place::Absent,
            (Step::Find { .. } | Step::Delete { .. }, Failure::Refused) if self.withdrawn => {
                self.place = Place::GivenUp;
            }
            _ => {}
        }
        self.try_later(now);
    }

    fn arrived(&mut self, now: Millis, node: Node) {
        let Place::Unsure { revision, .. } = self.place else { return };
        let is_ours = node.owner == self.session;
        self.place = Place::Present { node, since: now, revision, watched: false };
        if !is_ours {
            self.lost(now);
        }
    }

    fn checked(&mut self, now: Millis, found: Option<SessionId>) {
        if let Place::Present { node, watched, .. } = &mut self.place {
            *watched = true;
            if found != Some(node.owner) {
                self.lost(now);
            }
        }
    }

    /// Our node is gone, or goes with a session that is not ours any more.
    fn lost(&mut self, now: Millis) {
        // Somebody who deletes our node again and again shall not make us create it without a pause.
        if matches!(self.place, Place::Present { since, .. } if now.since(since) >= Backoff::MOST) {
            self.backoff.reset();
        }
        self.place = Place::Absent;
        self.try_later(now);
    }

    fn try_later(&mut self, now: Millis) {
        let at = self.backoff.next(now);
        self.not_before = (at > now).then_some(at);
    }
}

#[cfg(test)]
mod tests;
