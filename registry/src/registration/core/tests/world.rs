use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use common::Millis;
use zk_wire::SessionId;

use super::super::{Core, Input, Node, Output, StepFailure, StepOutcome};
use crate::retry::MAX_PAUSE;

/// A server of one service, as simple as possible: the parent, its children, and the session that lives.
pub(super) struct World {
    now: Millis,
    pub(super) core: Core,
    pub(super) session: SessionId,
    connected: bool,
    parent: bool,
    pub(super) counter: u32,
    /// Owner and data by name.
    pub(super) nodes: BTreeMap<String, (SessionId, Bytes)>,
    /// All names of creates so far.
    created: BTreeSet<String>,
    pub(super) step: Option<Output>,
    pub(super) watched: bool,
    pub(super) revision: u64,
    withdrawn: bool,
}

#[derive(Clone, Debug)]
pub(super) enum Act {
    /// The step is performed and answered.
    Perform,
    /// The step is performed; its answer is lost with the connection.
    PerformUnanswered,
    /// The step is lost before it is performed; the client cannot know.
    LoseUnanswered,
    /// The step is not even sent.
    NotDone,
    /// The server refuses the step.
    Refuse,
    Connect,
    Disconnect,
    /// The session expires and the next one begins.
    Expire,
    /// The session expires and the next one begins on a server that lags: it still shows the old session's nodes.
    ExpireOnLaggingServer,
    DeleteNodes,
    DeleteParent,
    /// The watch fires, although our node is as it was.
    Touch,
    Update,
    Withdraw,
    Wait(u64),
}

impl World {
    pub(super) fn new() -> Self {
        Self {
            now: Millis(0),
            core: Core::new(7, data(0)),
            session: SessionId(1),
            connected: false,
            parent: false,
            counter: 0,
            nodes: BTreeMap::new(),
            created: BTreeSet::new(),
            step: None,
            watched: false,
            revision: 0,
            withdrawn: false,
        }
    }

    pub(super) fn input(&mut self, input: Input) {
        self.core.handle(self.now, input);
        if let Some(step) = self.core.poll_output() {
            assert!(self.step.is_none(), "one step at a time");
            assert!(self.connected, "no step without a connection");
            if let Output::Create { name, .. } = &step {
                assert!(self.created.insert(name.clone()), "a name is used once");
                assert!(!self.withdrawn, "nothing is created after the withdrawal");
            }
            self.step = Some(step);
        }
        assert!(self.core.poll_output().is_none(), "one step at a time");
        self.check();
    }

    /// Checks the invariant.
    fn check(&self) {
        assert!(self.live().count() <= 1, "two nodes: {:?}", self.nodes);
    }

    pub(super) fn live(&self) -> impl Iterator<Item = (&String, &Bytes)> {
        let ours = self.nodes.iter().filter(|(_, (owner, _))| *owner == self.session);
        ours.map(|(name, (_, data))| (name, data))
    }

    pub(super) fn act(&mut self, act: &Act) {
        match act {
            Act::Perform => {
                if let Some(step) = self.step.take() {
                    let outcome = self.perform(step);
                    self.input(Input::Done(outcome));
                }
            }
            Act::PerformUnanswered => {
                if let Some(step) = self.step.take() {
                    self.perform(step);
                    self.fail(StepFailure::Unanswered);
                }
            }
            Act::LoseUnanswered => self.fail_step(StepFailure::Unanswered),
            Act::NotDone => self.fail_step(StepFailure::NotDone),
            Act::Refuse => self.fail_step(StepFailure::Refused),
            Act::Connect => self.connect(),
            Act::Disconnect => {
                self.connected = false;
                self.input(Input::Disconnected);
            }
            Act::Expire => {
                self.nodes.retain(|_, (owner, _)| *owner != self.session);
                self.next_session();
            }
            Act::ExpireOnLaggingServer => self.next_session(),
            Act::DeleteNodes => {
                self.nodes.clear();
                self.fire();
            }
            Act::DeleteParent => {
                if self.nodes.is_empty() {
                    self.parent = false;
                }
            }
            Act::Touch => self.fire(),
            Act::Update => {
                self.revision += 1;
                self.input(Input::Update { data: data(self.revision), revision: self.revision });
            }
            Act::Withdraw => {
                self.withdrawn = true;
                self.input(Input::Withdraw);
            }
            Act::Wait(millis) => {
                self.now = self.now + Millis(*millis);
                if self.core.poll_deadline().is_some_and(|at| at <= self.now) {
                    self.input(Input::Timeout);
                }
            }
        }
    }

    fn connect(&mut self) {
        self.connected = true;
        self.input(Input::Connected(self.session));
    }

    /// Begins the next session. The step of the old one goes unanswered.
    fn next_session(&mut self) {
        self.session = SessionId(self.session.0 + 1);
        self.watched = false;
        self.connected = true;
        self.core.handle(self.now, Input::Connected(self.session));
        if self.step.take().is_some() {
            self.core.handle(self.now, Input::Done(StepOutcome::Failed(StepFailure::Unanswered)));
        }
        self.input(Input::NodeChanged);
    }

    fn fire(&mut self) {
        if std::mem::take(&mut self.watched) {
            self.input(Input::NodeChanged);
        }
    }

    fn fail_step(&mut self, failure: StepFailure) {
        if self.step.take().is_some() {
            self.fail(failure);
        }
    }

    fn fail(&mut self, failure: StepFailure) {
        self.input(Input::Done(StepOutcome::Failed(failure)));
    }

    fn perform(&mut self, step: Output) -> StepOutcome {
        match step {
            Output::EnsureParent => {
                self.parent = true;
                StepOutcome::ParentExists
            }
            Output::Create { .. } | Output::Find { .. } if !self.parent => {
                StepOutcome::Failed(StepFailure::NoNode)
            }
            Output::Create { name, data } => {
                self.counter += 1;
                let path = format!("{name}{:010}", self.counter);
                self.nodes.insert(path.clone(), (self.session, data));
                StepOutcome::Created(Node { path, owner: self.session })
            }
            Output::Find { name } => {
                let found = self.nodes.iter().find(|(path, _)| path.starts_with(&name));
                StepOutcome::Found(found.map(|(path, &(owner, _))| Node { path: path.clone(), owner }))
            }
            Output::Check { path } => {
                self.watched = true;
                StepOutcome::Checked(self.nodes.get(&path).map(|&(owner, _)| owner))
            }
            Output::Set { path, data, .. } => match self.nodes.get_mut(&path) {
                Some(node) => {
                    node.1 = data;
                    self.fire_later();
                    StepOutcome::Set
                }
                None => StepOutcome::Failed(StepFailure::NoNode),
            },
            Output::Delete { path } => match self.nodes.remove(&path) {
                Some(_) => StepOutcome::Deleted,
                None => StepOutcome::Failed(StepFailure::NoNode),
            },
        }
    }

    /// Fires our watch by our own change, before the reply.
    fn fire_later(&mut self) {
        if std::mem::take(&mut self.watched) {
            self.core.handle(self.now, Input::NodeChanged);
        }
    }

    /// Calms down: connects, answers everything, lets time pass.
    pub(super) fn settle(&mut self) {
        self.connect();
        for _ in 0..30 {
            self.act(&Act::Perform);
            self.act(&Act::Wait(MAX_PAUSE.0));
        }
        assert_eq!(self.step, None);
        assert_eq!(self.core.poll_deadline(), None, "nothing is left to do");
    }
}

pub(super) fn data(revision: u64) -> Bytes {
    revision.to_string().into()
}
