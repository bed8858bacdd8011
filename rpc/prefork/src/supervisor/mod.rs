//! The supervisor as a pure state machine: events and the time go in, things to do come out.
//!
//! It knows children by [`ChildId`], never by pid. An id is used once, so an output never reaches a stranger that has got
//! the pid of a reaped child. It knows no system call, no clock and no log.
//!
//! The contract: after each [`handle`](Supervisor::handle) drain [`poll_output`](Supervisor::poll_output) until it is
//! empty, then wait for the next input, at most until [`poll_deadline`](Supervisor::poll_deadline).

mod child;
mod config;
mod death;
mod health;
mod message;
mod pause;
mod report;
mod request;
mod status;
mod stopping;
#[cfg(test)]
mod tests;
mod turnover;
mod upgrade;

use std::collections::{BTreeMap, VecDeque};

use common::Millis;

pub(crate) use child::ChildId;
pub use child::Exit;
pub(crate) use config::{Config, MAX_WORKERS};
pub(crate) use message::{Input, Output};
pub(crate) use report::{Report, seconds};
pub(crate) use request::Request;
pub use request::Stop;
pub(crate) use status::ChildStatus;

use child::{Child, Role, Slot, WorkerState};

/// Progress of the parent towards its end; it only ever grows.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Phase {
    Running,
    /// Workers have been asked to stop.
    Stopping,
    /// Workers have been killed; helpers may finish.
    Forced,
    /// Helpers have been killed too.
    Abandoned,
    Ended,
}

/// The state machine; see the module.
#[derive(Clone, Debug)]
pub(crate) struct Supervisor {
    config: Config,
    random: fastrand::Rng,
    phase: Phase,
    /// The last request to stop.
    stop_asked: Option<(Request, Millis)>,
    slots: Vec<Slot>,
    children: BTreeMap<ChildId, Child>,
    /// The one worker that boots beside the worker whose slot it will take.
    successor: Option<ChildId>,
    next_id: u64,
    /// True once some worker has been ready: from then on the service is never given up.
    has_served: bool,
    /// True once readiness has been announced.
    announced: bool,
    /// True during a rolling restart.
    reloading: bool,
    outputs: VecDeque<Output>,
}

impl Supervisor {
    /// Makes a supervisor that starts its workers at once.
    pub(crate) fn new(config: Config, now: Millis) -> Self {
        let slots = (0..config.workers).map(|_| Slot { start_at: now, ..Slot::default() }).collect();
        let mut this = Self {
            random: fastrand::Rng::with_seed(config.seed),
            config,
            phase: Phase::Running,
            stop_asked: None,
            slots,
            children: BTreeMap::new(),
            successor: None,
            next_id: 0,
            has_served: false,
            announced: false,
            reloading: false,
            outputs: VecDeque::new(),
        };
        this.advance(now);
        this
    }

    /// Returns the number of workers to keep, as changed by requests.
    pub(crate) fn workers_wanted(&self) -> u32 {
        u32::try_from(self.slots.len()).unwrap_or(MAX_WORKERS)
    }

    /// Takes one input. An input about a child that is gone already is ignored.
    pub(crate) fn handle(&mut self, now: Millis, input: Input) {
        match input {
            Input::Request(request) => self.handle_request(now, request),
            Input::ForkFailed(id, why) => self.handle_fork_failed(now, id, why),
            Input::Exited(id, exit) => self.handle_exited(now, id, exit),
            Input::Ready(id) => self.handle_ready(now, id),
            Input::Heard(id) => self.with_worker(id, |worker| worker.heard_at = now),
            Input::Noted(id, noted) => self.with_worker(id, |worker| worker.noted = noted),
            Input::Suspended(id, signal) => self.handle_suspended(id, signal),
            Input::Retire(id) => self.with_worker(id, |worker| worker.outdated = true),
            Input::Memory(id, bytes) => self.check_memory(now, id, bytes),
            Input::Timeout => self.abort_the_hung(now),
        }
        self.advance(now);
    }

    /// Returns the next thing to do.
    #[must_use]
    pub(crate) fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Returns the time at which to hand in [`Input::Timeout`] if nothing happens before.
    #[must_use]
    pub(crate) fn poll_deadline(&self) -> Option<Millis> {
        let kill = self.children.values().filter_map(|child| child.kill_at).min();
        if self.phase != Phase::Running {
            return kill;
        }
        let hang = self.children.values().filter_map(|child| child.hangs_at(&self.config)).min();
        let age = self.children.values().filter_map(Child::ages_at).min();
        [kill, hang, age, self.next_start()].into_iter().flatten().min()
    }

    /// Does everything that is due. It runs after each input, so that no rule depends on a particular one.
    fn advance(&mut self, now: Millis) {
        for id in self.ids(|child| child.kill_at.is_some_and(|at| at <= now)) {
            let child = &self.children[&id];
            if let Role::Upgrade { leaving: false } = child.role {
                self.upgrade_overdue(now, id);
                continue;
            }
            self.report(Report::Overdue { id, child: child.name() });
            self.kill(id);
        }
        if self.phase == Phase::Running {
            self.hurry_if_unserved(now);
            self.fill_slots(now);
            self.replace_the_next(now);
            self.announce();
        } else if self.phase < Phase::Ended && self.children.is_empty() {
            self.phase = Phase::Ended;
            self.report(Report::Stopped);
            self.outputs.push_back(Output::Exit);
        }
    }

    fn add(&mut self, child: Child) -> ChildId {
        let id = ChildId(self.next_id);
        self.next_id += 1;
        self.children.insert(id, child);
        id
    }

    fn with_worker(&mut self, id: ChildId, change: impl FnOnce(&mut WorkerState)) {
        if let Some(worker) = self.children.get_mut(&id).and_then(Child::worker_mut) {
            change(worker);
        }
    }

    fn ids(&self, which: impl Fn(&Child) -> bool) -> Vec<ChildId> {
        self.children.iter().filter(|(_, child)| which(child)).map(|(id, _)| *id).collect()
    }

    fn is_serving(&self) -> bool {
        self.children.values().any(Child::is_serving)
    }

    fn count_workers(&self) -> usize {
        self.children.values().filter(|child| child.is_worker()).count()
    }

    fn report(&mut self, report: Report) {
        self.outputs.push_back(Output::Report(report));
    }
}
