use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use common::Millis;
use zk_wire::{Expected, SessionId, Version, Zxid};

use super::super::{
    Core, Input, Node, NodeInput, NodeName, OnDelete, Output, RegistrationState, StepFailure, StepOutcome,
};
use crate::codec::Naming;
use crate::retry::MAX_PAUSE;

/// A server of one service in several formats, as simple as possible, and the registrants of one instance each.
pub(super) struct World {
    now: Millis,
    next_zxid: i64,
    next_session: i64,
    /// True for each format whose parent exists.
    parents: Vec<bool>,
    pub(super) counter: u32,
    pub(super) nodes: BTreeMap<String, Stored>,
    pub(super) replacements: usize,
    /// True once somebody else has deleted a node of a session that lives.
    pub(super) taken_away: bool,
    pub(super) registrants: Vec<Registrant>,
}

#[derive(Clone, Debug)]
pub(super) struct Stored {
    pub(super) owner: SessionId,
    created: Zxid,
    version: Version,
    pub(super) data: Bytes,
}

pub(super) struct Registrant {
    pub(super) core: Core,
    pub(super) session: SessionId,
    connected: bool,
    pub(super) formats: Vec<Format>,
    pub(super) revision: u64,
    withdrawn: bool,
    /// All sequential names of creates so far.
    created: BTreeSet<String>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Format {
    pub(super) step: Option<Output>,
    /// Path of the watched node.
    pub(super) watched: Option<String>,
    /// The watch has fired while there was no connection.
    fired: bool,
}

#[derive(Clone, Debug)]
pub(super) enum Act {
    /// The step of this format is performed and answered.
    Perform(usize),
    /// The step is performed; its answer is lost with the connection.
    PerformUnanswered(usize),
    /// The step is lost before it is performed; the client cannot know.
    LoseUnanswered(usize),
    /// The step is not even sent.
    NotDone(usize),
    /// The server refuses the step.
    Refuse(usize),
    Connect,
    Disconnect,
    /// The session expires and the next one begins.
    Expire,
    /// The session expires, which the client hears, and there is no other one yet.
    ExpireWithoutNext,
    /// The session expires and the next one begins on a server that lags: it still shows the old session's nodes.
    ExpireOnLaggingServer,
    /// The step is performed and answered, and the session expires; its end is heard of before the answer.
    PerformAndExpire(usize),
    /// Another client deletes the nodes of this format.
    DeleteNodes(usize),
    DeleteParent(usize),
    /// Another client writes to the nodes of this format what is there already.
    Touch(usize),
    Update,
    Withdraw,
    Wait(u64),
}

/// Fixed name of registrants that have one.
pub(super) const ID: &str = "a";

impl World {
    /// Makes a world of registrants with this number of formats, all with the same id or without any.
    pub(super) fn new(registrants: usize, formats: usize, has_id: bool, on_delete: OnDelete) -> Self {
        Self::seeded(0, registrants, formats, has_id, on_delete)
    }

    /// Makes a world of one registrant with a seed.
    pub(super) fn with_seed(seed: u64) -> Self {
        Self::seeded(seed, 1, 1, false, OnDelete::Restore)
    }

    fn seeded(seed: u64, registrants: usize, formats: usize, has_id: bool, on_delete: OnDelete) -> Self {
        let naming = if has_id { Naming::Id } else { Naming::Sequential { prefix: "n-" } };
        let registrant = |who: usize| Registrant {
            core: Core::new(
                seed + who as u64,
                vec![naming; formats],
                &ID.into(),
                on_delete,
                &vec![data(who, 0); formats].into(),
            ),
            session: SessionId(who as i64 + 1),
            connected: false,
            formats: vec![Format::default(); formats],
            revision: 0,
            withdrawn: false,
            created: BTreeSet::new(),
        };
        Self {
            now: Millis(0),
            next_zxid: 1,
            next_session: registrants as i64 + 1,
            parents: vec![false; formats],
            counter: 0,
            nodes: BTreeMap::new(),
            replacements: 0,
            taken_away: false,
            registrants: (0..registrants).map(registrant).collect(),
        }
    }

    /// Hands an input to a registrant, and takes the steps that follow.
    fn input(&mut self, who: usize, input: Input) {
        let registrant = &mut self.registrants[who];
        registrant.core.handle(self.now, input);
        while let Some((format, step)) = registrant.core.poll_output() {
            assert!(registrant.connected, "no step without a connection");
            if let Output::Create { name, .. } = &step {
                assert!(!registrant.withdrawn, "nothing is created after the withdrawal");
                if let NodeName::Sequential(name) = name {
                    assert!(registrant.created.insert(name.clone()), "a name is used once");
                }
            }
            let earlier = registrant.formats[format].step.replace(step);
            assert_eq!(earlier, None, "one step at a time");
        }
        self.check();
    }

    /// Checks what holds at any time.
    fn check(&self) {
        for who in 0..self.registrants.len() {
            for format in 0..self.parents.len() {
                assert!(self.live(who, format).count() <= 1, "two nodes: {:?}", self.nodes);
            }
        }
    }

    /// Returns the nodes of a registrant's present session in a format.
    pub(super) fn live(&self, who: usize, format: usize) -> impl Iterator<Item = (&String, &Stored)> {
        let (session, parent) = (self.registrants[who].session, format!("/{format}/"));
        self.nodes.iter().filter(move |(path, node)| node.owner == session && path.starts_with(&parent))
    }

    pub(super) fn acts(&mut self, who: usize, acts: &[Act]) {
        for act in acts {
            self.act(who, act);
        }
    }

    pub(super) fn act(&mut self, who: usize, act: &Act) {
        match *act {
            Act::Perform(format) => {
                if let Some(step) = self.take_step(who, format) {
                    let outcome = self.perform(who, format, step);
                    self.one(who, format, NodeInput::Done(outcome));
                }
            }
            Act::PerformUnanswered(format) => {
                if let Some(step) = self.take_step(who, format) {
                    self.perform(who, format, step);
                    self.fail(who, format, StepFailure::Unanswered);
                }
            }
            Act::LoseUnanswered(format) => self.fail_step(who, format, StepFailure::Unanswered),
            Act::NotDone(format) => self.fail_step(who, format, StepFailure::NotDone),
            Act::Refuse(format) => self.fail_step(who, format, StepFailure::Refused),
            Act::Connect => self.connect(who),
            Act::Disconnect => {
                self.registrants[who].connected = false;
                self.input(who, Input::All(NodeInput::Disconnected));
            }
            Act::Expire => {
                self.delete_own(who);
                self.next_session(who, None);
            }
            Act::ExpireWithoutNext => {
                self.delete_own(who);
                self.end_session(who);
            }
            Act::ExpireOnLaggingServer => self.next_session(who, None),
            Act::PerformAndExpire(format) => {
                let late = self.take_step(who, format).map(|step| (format, self.perform(who, format, step)));
                self.delete_own(who);
                self.next_session(who, late);
            }
            Act::DeleteNodes(format) => {
                self.taken_away |= (0..self.registrants.len()).any(|who| self.live(who, format).count() > 0);
                self.delete(|path, _| path.starts_with(&format!("/{format}/")));
            }
            Act::DeleteParent(format) => {
                if !self.nodes.keys().any(|path| path.starts_with(&format!("/{format}/"))) {
                    self.parents[format] = false;
                }
            }
            Act::Touch(format) => {
                let touched =
                    self.nodes.iter_mut().filter(|(path, _)| path.starts_with(&format!("/{format}/")));
                let paths = touched.map(|(path, node)| {
                    node.version.0 += 1;
                    path.clone()
                });
                paths.collect::<Vec<_>>().iter().for_each(|path| self.fire(path));
            }
            Act::Update => {
                let registrant = &mut self.registrants[who];
                registrant.revision += 1;
                let (revision, formats) = (registrant.revision, registrant.formats.len());
                let data = vec![data(who, revision); formats].into();
                self.input(who, Input::Update { data, revision });
            }
            Act::Withdraw => {
                self.registrants[who].withdrawn = true;
                self.input(who, Input::All(NodeInput::Withdraw));
            }
            Act::Wait(millis) => {
                self.now = self.now + Millis(millis);
                for who in 0..self.registrants.len() {
                    if self.registrants[who].core.poll_deadline().is_some_and(|at| at <= self.now) {
                        self.input(who, Input::All(NodeInput::Timeout));
                    }
                }
            }
        }
    }

    fn take_step(&mut self, who: usize, format: usize) -> Option<Output> {
        self.registrants[who].formats[format].step.take()
    }

    fn one(&mut self, who: usize, format: usize, input: NodeInput) {
        self.input(who, Input::One(format, input));
    }

    fn connect(&mut self, who: usize) {
        let registrant = &mut self.registrants[who];
        registrant.connected = true;
        let session = registrant.session;
        self.input(who, Input::All(NodeInput::Connected(session)));
        for format in 0..self.parents.len() {
            if std::mem::take(&mut self.registrants[who].formats[format].fired) {
                self.one(who, format, NodeInput::NodeChanged);
            }
        }
    }

    /// Begins the next session. The steps of the old one go unanswered, but for one.
    fn next_session(&mut self, who: usize, late: Option<(usize, StepOutcome)>) {
        let session = SessionId(self.next_session);
        self.next_session += 1;
        let registrant = &mut self.registrants[who];
        registrant.session = session;
        registrant.connected = true;
        registrant.core.handle(self.now, Input::All(NodeInput::Connected(session)));
        if let Some((index, outcome)) = late {
            registrant.core.handle(self.now, Input::One(index, NodeInput::Done(outcome)));
        }
        for index in 0..registrant.formats.len() {
            let format = std::mem::take(&mut registrant.formats[index]);
            if format.step.is_some() {
                let unanswered = NodeInput::Done(StepOutcome::Failed(StepFailure::Unanswered));
                registrant.core.handle(self.now, Input::One(index, unanswered));
            }
            registrant.core.handle(self.now, Input::One(index, NodeInput::NodeChanged));
        }
        self.input(who, Input::All(NodeInput::Timeout));
    }

    /// Ends the session of a registrant, and every step in it; the next connection has another one.
    fn end_session(&mut self, who: usize) {
        let session = SessionId(self.next_session);
        self.next_session += 1;
        let registrant = &mut self.registrants[who];
        (registrant.session, registrant.connected) = (session, false);
        self.input(who, Input::All(NodeInput::SessionOver));
        for format in 0..self.parents.len() {
            let Format { step, watched, fired } = std::mem::take(&mut self.registrants[who].formats[format]);
            if step.is_some() {
                self.fail(who, format, StepFailure::Unanswered);
            }
            if watched.is_some() || fired {
                self.one(who, format, NodeInput::NodeChanged);
            }
        }
    }

    /// Deletes the nodes of a registrant's present session.
    fn delete_own(&mut self, who: usize) {
        let session = self.registrants[who].session;
        self.delete(|_, node| node.owner == session);
    }

    fn delete(&mut self, is_gone: impl Fn(&str, &Stored) -> bool) {
        let gone: Vec<String> = self
            .nodes
            .iter()
            .filter(|(path, node)| is_gone(path, node))
            .map(|(path, _)| path.clone())
            .collect();
        for path in &gone {
            self.nodes.remove(path);
        }
        gone.iter().for_each(|path| self.fire(path));
    }

    /// Fires the watches of a node. Those of a client without a connection fire when it is back.
    fn fire(&mut self, path: &str) {
        for who in 0..self.registrants.len() {
            for format in 0..self.parents.len() {
                let registrant = &mut self.registrants[who];
                if registrant.formats[format].watched.as_deref() != Some(path) {
                    continue;
                }
                registrant.formats[format].watched = None;
                if registrant.connected {
                    self.one(who, format, NodeInput::NodeChanged);
                } else {
                    registrant.formats[format].fired = true;
                }
            }
        }
    }

    fn fail_step(&mut self, who: usize, format: usize, failure: StepFailure) {
        if self.take_step(who, format).is_some() {
            self.fail(who, format, failure);
        }
    }

    fn fail(&mut self, who: usize, format: usize, failure: StepFailure) {
        self.one(who, format, NodeInput::Done(StepOutcome::Failed(failure)));
    }

    fn node(&self, path: &str) -> Option<Node> {
        let stored = self.nodes.get(path)?;
        let &Stored { owner, created, version, .. } = stored;
        Some(Node { path: path.to_owned(), owner, created, version })
    }

    fn create(&mut self, who: usize, path: &str, version: i32, data: Bytes) {
        let (owner, created) = (self.registrants[who].session, Zxid(self.next_zxid));
        self.next_zxid += 1;
        self.nodes.insert(path.to_owned(), Stored { owner, created, version: Version(version), data });
        self.fire(path);
    }

    fn perform(&mut self, who: usize, format: usize, step: Output) -> StepOutcome {
        let failed = StepOutcome::Failed;
        let is_at = |expected: Expected, node: &Stored| match expected {
            Expected::Any => true,
            Expected::Exactly(version) => node.version == version,
        };
        match step {
            Output::EnsureParent => {
                self.parents[format] = true;
                StepOutcome::ParentExists
            }
            Output::Create { .. } if !self.parents[format] => failed(StepFailure::NoNode),
            Output::Create { name, data } => {
                let path = match name {
                    NodeName::Sequential(name) => {
                        self.counter += 1;
                        format!("/{format}/{name}{:010}", self.counter)
                    }
                    NodeName::Fixed(name) => format!("/{format}/{name}"),
                };
                if self.nodes.contains_key(&path) {
                    return failed(StepFailure::NodeExists);
                }
                self.create(who, &path, 0, data);
                self.node(&path).map_or(failed(StepFailure::NoNode), StepOutcome::Created)
            }
            Output::Replace { name, version, data, writes_twice } => {
                let path = format!("/{format}/{name}");
                match self.nodes.get(&path) {
                    None => return failed(StepFailure::NoNode),
                    Some(node) if node.version != version => return failed(StepFailure::BadVersion),
                    Some(_) => {}
                }
                self.replacements += 1;
                self.create(who, &path, writes_twice.into(), data);
                StepOutcome::Replaced
            }
            Output::Find { name: NodeName::Fixed(name) } => {
                StepOutcome::Found(self.node(&format!("/{format}/{name}")))
            }
            Output::Find { .. } if !self.parents[format] => failed(StepFailure::NoNode),
            Output::Find { name: NodeName::Sequential(name) } => {
                let begin = format!("/{format}/{name}");
                let found = self.nodes.keys().find(|path| path.starts_with(&begin));
                StepOutcome::Found(found.and_then(|path| self.node(path)))
            }
            Output::Check { path } => {
                let found = self.node(&path);
                self.registrants[who].formats[format].watched = Some(path);
                StepOutcome::Checked(found)
            }
            Output::Set { path, version, data, .. } => match self.nodes.get_mut(&path) {
                Some(node) if is_at(version, node) => {
                    node.data = data;
                    node.version.0 += 1;
                    // Our own watch fires before the reply.
                    self.fire(&path);
                    self.node(&path).map_or(failed(StepFailure::NoNode), StepOutcome::Set)
                }
                Some(_) => failed(StepFailure::BadVersion),
                None => failed(StepFailure::NoNode),
            },
            Output::Delete { path, version } => match self.nodes.get(&path) {
                Some(node) if is_at(version, node) => {
                    self.delete(|gone, _| gone == path);
                    StepOutcome::Deleted
                }
                Some(_) => failed(StepFailure::BadVersion),
                None => failed(StepFailure::NoNode),
            },
        }
    }

    /// Calms down: connects, answers everything, lets time pass.
    pub(super) fn settle(&mut self) {
        for who in 0..self.registrants.len() {
            self.connect(who);
        }
        for _ in 0..60 {
            for who in 0..self.registrants.len() {
                for format in 0..self.parents.len() {
                    self.act(who, &Act::Perform(format));
                }
            }
            self.act(0, &Act::Wait(MAX_PAUSE.0 + 200));
        }
        for registrant in &self.registrants {
            assert!(registrant.formats.iter().all(|format| format.step.is_none()));
            assert_eq!(registrant.core.poll_deadline(), None, "nothing is left to do");
        }
    }

    pub(super) fn state(&self, who: usize) -> RegistrationState {
        self.registrants[who].core.state()
    }
}

/// Returns the data of a registrant's revision. It begins with the registrant.
pub(super) fn data(who: usize, revision: u64) -> Bytes {
    format!("{who}:{revision}").into()
}
