//! A simulated operating system that checks every promise of the core at every step.

use std::collections::BTreeSet;

use common::Millis;

use crate::supervisor::*;

/// See the module.
#[derive(Clone)]
pub(super) struct World {
    pub(super) core: Supervisor,
    pub(super) config: Config,
    pub(super) now: Millis,
    pub(super) workers: BTreeMap<ChildId, u32>,
    pub(super) helpers: BTreeSet<ChildId>,
    pub(super) programs: BTreeSet<ChildId>,
    /// Children that were sent KILL; they die next.
    pub(super) killed: BTreeSet<ChildId>,
    pub(super) aborted: BTreeSet<ChildId>,
    pub(super) asked: BTreeMap<ChildId, Stop>,
    pub(super) reaped: Vec<ChildId>,
    /// Children that could not be forked.
    unforked: Vec<ChildId>,
    pub(super) log: Vec<String>,
    pub(super) all_ready: u32,
    pub(super) gave_up: bool,
    pub(super) handed_over: bool,
    /// The listeners are closed.
    is_closed: bool,
    pub(super) exited: bool,
    /// Number of workers that were asked for.
    pub(super) wanted: usize,
    /// Number of the next forks that fail.
    pub(super) failing_forks: u32,
    /// True once some worker has been ready.
    pub(super) has_served: bool,
    /// Number of workers that have been forked.
    pub(super) spawned: usize,
    seen: BTreeSet<ChildId>,
}

impl World {
    pub(super) fn new(config: Config) -> Self {
        let now = Millis(1_000);
        let mut world = Self {
            core: Supervisor::new(config.clone(), now),
            wanted: config.workers as usize,
            config,
            now,
            workers: BTreeMap::new(),
            helpers: BTreeSet::new(),
            programs: BTreeSet::new(),
            killed: BTreeSet::new(),
            aborted: BTreeSet::new(),
            asked: BTreeMap::new(),
            reaped: Vec::new(),
            unforked: Vec::new(),
            log: Vec::new(),
            all_ready: 0,
            gave_up: false,
            handed_over: false,
            is_closed: false,
            exited: false,
            failing_forks: 0,
            has_served: false,
            spawned: 0,
            seen: BTreeSet::new(),
        };
        world.drain();
        world
    }

    pub(super) fn input(&mut self, input: Input) {
        self.has_served |=
            matches!(input, Input::Ready(id) if self.workers.contains_key(&id) && self.is_to_stay(id));
        self.core.handle(self.now, input);
        self.drain();
    }

    pub(super) fn signal(&mut self, request: Request) {
        match request {
            Request::More => self.wanted += 1,
            Request::Fewer => self.wanted = self.wanted.saturating_sub(1).max(1),
            _ => {}
        }
        self.input(Input::Request(request));
    }

    fn drain(&mut self) {
        let mut failed = VecDeque::new();
        loop {
            while let Some(output) = self.core.poll_output() {
                assert!(!self.exited, "{output:?} after the end");
                let unforked = self.perform(&output);
                self.unforked.extend(unforked);
                failed.extend(unforked);
            }
            let Some(id) = failed.pop_front() else { break };
            self.core.handle(self.now, Input::ForkFailed(id, "no resources".into()));
        }
        assert!(self.all_ready <= 1);
        self.check_that_a_worker_starts_soon();
        assert!(
            self.exited || self.core.poll_deadline().is_some() || self.alive().count() > 0,
            "stuck: nothing to wait for\n{:?}",
            self.core
        );
    }

    /// Checks that every empty slot is filled within a second while no worker serves.
    fn check_that_a_worker_starts_soon(&self) {
        let stopping =
            matches!(self.core.phase, Phase::Stopping | Phase::Forced | Phase::Abandoned | Phase::Ended);
        if stopping || self.core.children.values().any(Child::is_ready) {
            return;
        }
        let mut empty = self.core.slots.iter().filter(|slot| slot.child.is_none());
        assert!(empty.all(|slot| slot.start_at.since(self.now) <= Millis(1_000)), "{:?}", self.core);
    }

    /// Performs an output and returns the child that could not be forked.
    fn perform(&mut self, output: &Output) -> Option<ChildId> {
        match output.clone() {
            Output::Spawn { id, slot, urgent } => {
                assert!(!self.is_closed, "started a worker without a listener");
                assert!((slot as usize) < self.wanted, "{slot}");
                assert!(self.seen.insert(id), "{id:?} was given twice");
                if self.fork_fails() {
                    return Some(id);
                }
                let beside = self.workers.iter().any(|(id, s)| *s == slot && self.is_to_stay(*id));
                assert_eq!(
                    urgent,
                    self.has_served && !beside,
                    "a worker is urgent exactly if clients miss it"
                );
                let is_only_one = !self.workers.keys().any(|id| self.is_to_stay(*id));
                self.workers.insert(id, slot);
                self.spawned += 1;
                assert!(is_only_one || self.workers.len() <= self.wanted + 1, "too many: {:?}", self.workers);
            }
            Output::Help { id, dead } => {
                assert!(self.config.helpers);
                assert!(self.seen.insert(id), "{id:?} was given twice");
                assert_eq!(self.reaped.last(), Some(&dead), "help for a worker whose note is gone");
                if self.fork_fails() {
                    return Some(id);
                }
                self.helpers.insert(id);
            }
            Output::Upgrade(id) => {
                assert!(self.seen.insert(id), "{id:?} was given twice");
                assert!(self.programs.is_empty() && !self.handed_over, "one upgrade at a time");
                if self.fork_fails() {
                    return Some(id);
                }
                self.programs.insert(id);
            }
            Output::HandOver(id) => {
                assert!(self.programs.remove(&id), "handed over to no program");
                assert!(!self.asked.contains_key(&id), "handed over to a program that was asked to stop");
                self.handed_over = true;
            }
            Output::CloseListeners => {
                assert!(!self.is_closed, "closed the listeners twice");
                self.is_closed = true;
            }
            // Its failure has not been told yet.
            Output::Stop(id, _) if self.unforked.contains(&id) => {}
            Output::Stop(id, stop) => {
                let asks = self.workers.contains_key(&id) || self.programs.contains(&id);
                assert!(asks, "asked {id:?}, which is no living worker or program");
                assert!(self.asked.insert(id, stop) < Some(stop), "asked {id:?} twice");
            }
            Output::Abort(id) => {
                assert!(self.workers.contains_key(&id), "aborted {id:?}, which is no living worker");
                assert!(self.aborted.insert(id), "aborted {id:?} twice");
            }
            Output::Kill(id) => {
                assert!(self.alive().any(|alive| alive == id), "killed {id:?}, which is not alive");
                self.killed.insert(id);
            }
            Output::GiveUp(dead) => {
                let was_forked = !self.unforked.contains(&dead);
                assert!(
                    !was_forked || self.reaped.last() == Some(&dead),
                    "gave up for a worker whose last words are gone"
                );
                assert!(!self.has_served, "gave a service up that has served");
                self.gave_up = true;
            }
            Output::AllReady => self.all_ready += 1,
            Output::PassOnUsr1(id) => {
                assert!(self.workers.contains_key(&id), "signalled {id:?}, which is no living worker");
            }
            Output::Usr1Hook => {}
            Output::Report(report) => self.log.push(report.line(7)),
            Output::Exit => {
                assert_eq!(self.alive().count(), 0, "left children behind");
                self.exited = true;
            }
        }
        None
    }

    /// Returns true unless the core has aborted a child or asked it to stop.
    fn is_to_stay(&self, id: ChildId) -> bool {
        !self.asked.contains_key(&id) && !self.aborted.contains(&id)
    }

    fn fork_fails(&mut self) -> bool {
        let fails = self.failing_forks > 0;
        self.failing_forks = self.failing_forks.saturating_sub(1);
        fails
    }

    pub(super) fn alive(&self) -> impl Iterator<Item = ChildId> {
        self.workers.keys().chain(&self.helpers).chain(&self.programs).copied()
    }

    /// Returns the worker in a slot, the older one if there are two.
    pub(super) fn worker(&self, slot: u32) -> ChildId {
        *self.workers.iter().find(|(_, s)| **s == slot).unwrap().0
    }

    pub(super) fn slots(&self) -> Vec<u32> {
        self.workers.values().copied().collect()
    }

    pub(super) fn exit(&mut self, id: ChildId, exit: Exit) {
        let known =
            self.workers.remove(&id).is_some() || self.helpers.remove(&id) || self.programs.remove(&id);
        assert!(known);
        self.killed.remove(&id);
        self.reaped.push(id);
        self.input(Input::Exited(id, exit));
    }

    pub(super) fn advance(&mut self, by: u64) {
        self.now = self.now + Millis(by);
        self.input(Input::Timeout);
    }

    /// Lets a killed child die, or time pass until the next deadline: what no child can prevent.
    pub(super) fn let_time_pass(&mut self) {
        if let Some(id) = self.killed.first().copied() {
            self.exit(id, Exit::Signal(9));
        } else if let Some(at) = self.core.poll_deadline() {
            self.now = self.now.max(at);
            self.input(Input::Timeout);
        }
    }

    pub(super) fn becomes_ready(&mut self, id: ChildId) {
        self.input(Input::Noted(id, true));
        self.input(Input::Ready(id));
    }

    pub(super) fn all_become_ready(&mut self) {
        for id in self.workers.keys().copied().collect::<Vec<_>>() {
            self.becomes_ready(id);
        }
    }

    /// Runs one round in which every child does what it is asked.
    pub(super) fn all_obey(&mut self) {
        for id in self.workers.keys().copied().collect::<Vec<_>>() {
            if self.killed.contains(&id) || self.aborted.contains(&id) {
                self.exit(id, Exit::Signal(9));
            } else if self.asked.contains_key(&id) {
                self.exit(id, Exit::Status(0));
            } else {
                self.input(Input::Ready(id));
            }
        }
        self.let_time_pass();
    }
}

pub(super) fn config(workers: u32) -> Config {
    Config {
        workers,
        grace: Millis(30_000),
        quick_grace: Millis(2_000),
        backoff_min: Millis(100),
        backoff_max: Millis(5_000),
        healthy_after: Millis(10_000),
        boot_failures: u32::MAX,
        boot_timeout: None,
        heartbeat_timeout: None,
        max_age: None,
        max_memory: None,
        helper_timeout: Millis(5_000),
        upgrade_timeout: Millis(60_000),
        helpers: true,
        seed: 7,
    }
}

pub(super) fn ready_world(workers: u32) -> World {
    let mut world = World::new(config(workers));
    world.all_become_ready();
    world
}
