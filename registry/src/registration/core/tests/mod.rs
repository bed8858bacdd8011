use std::collections::{BTreeMap, BTreeSet};

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// A server of one service, as simple as it can be: the parent, its children, and which session lives.
struct World {
    now: Millis,
    core: Core,
    session: SessionId,
    connected: bool,
    parent: bool,
    counter: u32,
    /// Name to owner and data.
    nodes: BTreeMap<String, (SessionId, Bytes)>,
    /// Every name that a create was ever asked to make.
    asked: BTreeSet<String>,
    step: Option<Step>,
    watched: bool,
    revision: u64,
    withdrawn: bool,
}

#[derive(Clone, Debug)]
enum Act {
    /// The step is done and answered.
    Perform,
    /// The step is done, and the answer lost with the connection.
    PerformUnanswered,
    /// The step is lost before it is done, and the caller cannot know.
    LoseUnanswered,
    /// The step is not even sent.
    NotDone,
    /// The server says no.
    Refuse,
    Connect,
    Disconnect,
    /// The session expires; the core hears of the next one.
    Expire,
    /// As `Expire`, but the old session's nodes are seen for a while yet, as on a server that lags.
    ExpireBehindOurBack,
    DeleteNodes,
    DeleteParent,
    /// A change of the node that is none of our business.
    Touch,
    Update,
    Withdraw,
    Wait(u64),
}

impl World {
    fn new() -> Self {
        Self {
            now: Millis(0),
            core: Core::new(7, data(0)),
            session: SessionId(1),
            connected: false,
            parent: false,
            counter: 0,
            nodes: BTreeMap::new(),
            asked: BTreeSet::new(),
            step: None,
            watched: false,
            revision: 0,
            withdrawn: false,
        }
    }

    fn input(&mut self, input: Input) {
        self.core.handle(self.now, input);
        if let Some(step) = self.core.poll_step() {
            assert!(self.step.is_none(), "one step at a time");
            assert!(self.connected, "nothing is asked for without a connection");
            if let Step::Create { name, .. } = &step {
                assert!(self.asked.insert(name.clone()), "a name is used once");
                assert!(!self.withdrawn, "nothing is created after the withdrawal");
            }
            self.step = Some(step);
        }
        assert!(self.core.poll_step().is_none(), "one step at a time");
        self.check();
    }

    /// What holds at every moment.
    fn check(&self) {
        assert!(self.live().count() <= 1, "two nodes: {:?}", self.nodes);
    }

    fn live(&self) -> impl Iterator<Item = (&String, &Bytes)> {
        let ours = self.nodes.iter().filter(|(_, (owner, _))| *owner == self.session);
        ours.map(|(name, (_, data))| (name, data))
    }

    fn act(&mut self, act: &Act) {
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
                    self.fail(Failure::Unanswered);
                }
            }
            Act::LoseUnanswered => self.fail_step(Failure::Unanswered),
            Act::NotDone => self.fail_step(Failure::NotDone),
            Act::Refuse => self.fail_step(Failure::Refused),
            Act::Connect => self.connect(),
            Act::Disconnect => {
                self.connected = false;
                self.input(Input::Disconnected);
            }
            Act::Expire => {
                self.nodes.retain(|_, (owner, _)| *owner != self.session);
                self.next_session();
            }
            Act::ExpireBehindOurBack => self.next_session(),
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

    /// The step of the old session cannot be answered any more.
    fn next_session(&mut self) {
        self.session = SessionId(self.session.0 + 1);
        self.watched = false;
        self.connected = true;
        self.core.handle(self.now, Input::Connected(self.session));
        if self.step.take().is_some() {
            self.core.handle(self.now, Input::Done(Outcome::Failed(Failure::Unanswered)));
        }
        self.input(Input::NodeChanged);
    }

    fn fire(&mut self) {
        if std::mem::take(&mut self.watched) {
            self.input(Input::NodeChanged);
        }
    }

    fn fail_step(&mut self, failure: Failure) {
        if self.step.take().is_some() {
            self.fail(failure);
        }
    }

    fn fail(&mut self, failure: Failure) {
        self.input(Input::Done(Outcome::Failed(failure)));
    }

    fn perform(&mut self, step: Step) -> Outcome {
        match step {
            Step::EnsureParent => {
                self.parent = true;
                Outcome::ParentExists
            }
            Step::Create { .. } | Step::Find { .. } if !self.parent => Outcome::Failed(Failure::NoNode),
            Step::Create { name, data } => {
                self.counter += 1;
                let path = format!("{name}{:010}", self.counter);
                self.nodes.insert(path.clone(), (self.session, data));
                Outcome::Created(Node { path, owner: self.session })
            }
            Step::Find { name } => {
                let found = self.nodes.iter().find(|(path, _)| path.starts_with(&name));
                Outcome::Found(found.map(|(path, &(owner, _))| Node { path: path.clone(), owner }))
            }
            Step::Check { path } => {
                self.watched = true;
                Outcome::Checked(self.nodes.get(&path).map(|&(owner, _)| owner))
            }
            Step::Set { path, data, .. } => match self.nodes.get_mut(&path) {
                Some(node) => {
                    node.1 = data;
                    self.fire_later();
                    Outcome::Set
                }
                None => Outcome::Failed(Failure::NoNode),
            },
            Step::Delete { path } => match self.nodes.remove(&path) {
                Some(_) => Outcome::Deleted,
                None => Outcome::Failed(Failure::NoNode),
            },
        }
    }

    /// Our own change fires our watch before its reply.
    fn fire_later(&mut self) {
        if std::mem::take(&mut self.watched) {
            self.core.handle(self.now, Input::NodeChanged);
        }
    }

    /// The world calms down: connected, everything is answered, time passes.
    fn settle(&mut self) {
        self.connect();
        for _ in 0..30 {
            self.act(&Act::Perform);
            self.act(&Act::Wait(Backoff::MOST.0));
        }
        assert_eq!(self.step, None);
        assert_eq!(self.core.poll_deadline(), None, "nothing is left to do");
    }
}

fn data(revision: u64) -> Bytes {
    revision.to_string().into()
}

fn any_act() -> impl Strategy<Value = Act> {
    prop_oneof![
        8 => Just(Act::Perform),
        2 => Just(Act::PerformUnanswered),
        1 => Just(Act::LoseUnanswered),
        1 => Just(Act::NotDone),
        1 => Just(Act::Refuse),
        3 => Just(Act::Connect),
        1 => Just(Act::Disconnect),
        1 => Just(Act::Expire),
        1 => Just(Act::ExpireBehindOurBack),
        1 => Just(Act::DeleteNodes),
        1 => Just(Act::DeleteParent),
        1 => Just(Act::Touch),
        1 => Just(Act::Update),
        3 => (0u64..6_000).prop_map(Act::Wait),
    ]
}

fn settled(acts: &[Act]) -> World {
    let mut world = World::new();
    for act in acts {
        world.act(act);
    }
    world.settle();
    world
}

proptest! {
    #[test]
    fn whatever_happens_there_is_one_node_with_the_newest_data(acts in vec(any_act(), 0..60)) {
        let world = settled(&acts);
        let live: Vec<_> = world.live().collect();
        prop_assert_eq!(live.len(), 1);
        prop_assert_eq!(live[0].1, &data(world.revision));
        prop_assert_eq!(world.core.phase(), Phase::Registered { path: live[0].0.clone() });
        prop_assert_eq!(world.core.told(), Some(world.revision));
        prop_assert!(world.watched, "its end would be heard of");
    }

    #[test]
    fn withdrawing_wins_over_everything(
        before in vec(any_act(), 0..40),
        after in vec(any_act().prop_filter("a refusal is final", |act| !matches!(act, Act::Refuse)), 0..20),
    ) {
        let acts = [before, vec![Act::Withdraw], after].concat();
        let world = settled(&acts);
        prop_assert_eq!(world.live().count(), 0);
        prop_assert_eq!(world.core.phase(), Phase::Withdrawn);
    }

    #[test]
    fn reconnects_of_a_session_touch_nothing(reconnects in vec(any::<bool>(), 0..20)) {
        let mut world = settled(&[]);
        for connect in reconnects {
            world.act(if connect { &Act::Connect } else { &Act::Disconnect });
            prop_assert_eq!(&world.step, &None);
        }
    }
}

fn run(acts: &[Act]) -> World {
    let mut world = World::new();
    for act in acts {
        world.act(act);
    }
    world
}

#[test]
fn a_create_whose_reply_was_lost_is_looked_for() {
    let mut world = run(&[
        Act::Connect,
        Act::Perform, // no parent
        Act::Perform, // the parent
        Act::PerformUnanswered,
        Act::Wait(100),
    ]);
    assert!(matches!(world.step, Some(Step::Find { .. })));
    world.settle();
    assert_eq!(world.counter, 1, "one create was enough");
}

#[test]
fn a_leftover_of_our_dead_session_is_not_taken_for_ours() {
    let mut world =
        run(&[Act::Connect, Act::Perform, Act::Perform, Act::PerformUnanswered, Act::ExpireBehindOurBack]);
    world.settle();
    assert_eq!(world.nodes.len(), 2, "the leftover is left alone");
    assert_eq!(world.live().count(), 1);
}

#[test]
fn a_withdrawal_that_is_refused_ends_too() {
    let mut world = settled(&[]);
    world.act(&Act::Withdraw);
    world.act(&Act::Refuse);
    assert_eq!(world.core.phase(), Phase::Withdrawn);
    assert_eq!(world.live().count(), 1, "it goes with the session");
}

#[test]
fn who_deletes_the_node_again_and_again_slows_us_down() {
    let mut world = settled(&[]);
    let mut creates = 0;
    for _ in 0..1_000 {
        world.act(&Act::DeleteNodes);
        for _ in 0..3 {
            creates += usize::from(matches!(world.step, Some(Step::Create { .. })));
            world.act(&Act::Perform);
        }
        world.act(&Act::Wait(10));
    }
    assert!((2..30).contains(&creates), "{creates} creates in ten seconds");
}
