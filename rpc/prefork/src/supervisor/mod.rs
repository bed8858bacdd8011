//! The supervisor as a pure state machine: what happened and the time go in, what to do comes out.
//!
//! It knows children by [`ChildId`], never by pid: an id is given once, so nothing can be done to a process that has
//! been reaped and whose pid may belong to a stranger by now. It knows no system call, no clock and no log.
//!
//! The contract: after each [`handle`](Supervisor::handle) drain [`poll_output`](Supervisor::poll_output) until it
//! is empty, then wait for the next input, at the longest until [`poll_deadline`](Supervisor::poll_deadline).

mod child;
mod message;
mod pause;
mod report;
mod status;
#[cfg(test)]
mod tests;
mod upgrade;

use std::collections::{BTreeMap, VecDeque};

use crate::millis::Millis;
use child::{Child, Role, Slot, Standing, Worker};
pub(crate) use message::{Config, Input, Output, Request};
pub use message::{Exit, Stop};
pub(crate) use report::{Next, Report};

/// One forked process, worker or helper; never used twice.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) struct ChildId(u64);

/// How far the parent is on its way out; only ever grows.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Phase {
    Running,
    /// Workers have been asked to leave.
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
    rng: fastrand::Rng,
    phase: Phase,
    /// The last request to stop.
    stop_asked: Option<(Request, Millis)>,
    slots: Vec<Slot>,
    children: BTreeMap<ChildId, Child>,
    /// The one worker that boots beside the one whose slot it will take.
    successor: Option<ChildId>,
    next_id: u64,
    /// Some worker has been ready: from then on the service is never given up.
    has_served: bool,
    announced: bool,
    /// A rolling restart has been asked for and is not over.
    reloading: bool,
    outputs: VecDeque<Output>,
}

impl Supervisor {
    /// A supervisor that wants its workers at once.
    pub(crate) fn new(config: Config, now: Millis) -> Self {
        let slots = (0..config.workers).map(|_| Slot { start_at: now, ..Slot::default() }).collect();
        let mut this = Self {
            rng: fastrand::Rng::with_seed(config.seed),
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

    /// Returns how many workers there should be, as changed by requests.
    pub(crate) fn wanted(&self) -> u32 {
        u32::try_from(self.slots.len()).unwrap_or(MAX_WORKERS)
    }

    /// Takes one input. What concerns a child that is no longer there is ignored: it came too late.
    pub(crate) fn handle(&mut self, now: Millis, input: Input) {
        match input {
            Input::Signal(request) => self.handle_request(now, request),
            Input::ForkFailed(id, why) => self.handle_fork_failed(now, id, why),
            Input::Exited(id, exit) => self.handle_exited(now, id, exit),
            Input::Ready(id) => self.handle_ready(now, id),
            Input::Heard(id) => self.with_worker(id, |worker| worker.heard_at = now),
            Input::Noted(id, noted) => self.with_worker(id, |worker| worker.noted = noted),
            Input::Suspended(id, signal) => self.handle_suspended(id, signal),
            Input::Tired(id) => self.with_worker(id, |worker| worker.outdated = true),
            Input::Memory(id, bytes) => self.check_memory(now, id, bytes),
            Input::Timeout => self.abort_the_hung(now),
        }
        self.advance(now);
    }

    /// The next thing to do.
    #[must_use]
    pub(crate) fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to come back with a [`Input::Timeout`] if nothing happens before.
    #[must_use]
    pub(crate) fn poll_deadline(&self) -> Option<Millis> {
        let kill = self.children.values().filter_map(|child| child.kill_at).min();
        if self.phase != Phase::Running {
            return kill;
        }
        let hang = self.children.values().filter_map(|child| child.hangs_at(&self.config)).min();
        let age = self.children.values().filter_map(Child::ages_at).min();
        let fill = self.slots.iter().filter(|slot| slot.child.is_none()).map(|slot| slot.start_at).min();
        let succeed = self.next_to_replace().map(|(slot, _)| self.slots[slot as usize].start_at);
        let start = fill.into_iter().chain(succeed).min().filter(|_| self.has_room());
        [kill, hang, age, start].into_iter().flatten().min()
    }

    fn handle_request(&mut self, now: Millis, request: Request) {
        match (request, self.phase) {
            (Request::Reload, Phase::Running) => {
                self.reloading = true;
                self.report(Report::Reloading { workers: self.count_workers() });
                let all = self.children.values_mut().filter_map(Child::worker_mut);
                all.for_each(|worker| worker.outdated = true);
            }
            (Request::More, Phase::Running) => self.add_slot(now),
            (Request::Fewer, Phase::Running) => self.remove_slot(now),
            (Request::Upgrade, Phase::Running) => self.start_upgrade(now),
            (Request::User, _) => {
                self.outputs.push_back(Output::UserHook);
                self.outputs.extend(self.ids(Child::is_worker).into_iter().map(Output::PassOn));
            }
            (Request::Terminate | Request::Interrupt | Request::Quit, _)
            | (Request::CannotFork, Phase::Running) => {
                self.stop_more_urgently(now, request);
            }
            // The parent is on its way out. That it still cannot fork is no reason to hurry.
            (
                Request::Reload | Request::More | Request::Fewer | Request::Upgrade | Request::CannotFork,
                _,
            ) => {}
        }
    }

    /// Each further request to stop is more urgent than the one before, whatever its name.
    fn stop_more_urgently(&mut self, now: Millis, request: Request) {
        let told_twice = |(last, at): (Request, Millis)| last == request && now.since(at) < ECHO;
        if self.stop_asked.replace((request, now)).is_some_and(told_twice) {
            return;
        }
        match self.phase {
            Phase::Running => {
                let (stop, grace) = match request {
                    Request::Interrupt | Request::Quit => (Stop::Quick, self.config.quick_grace),
                    _ => (Stop::Graceful, self.config.grace),
                };
                self.report(Report::Stopping { request, stop, workers: self.count_workers(), grace });
                self.stop_all(now, stop, grace);
            }
            Phase::Stopping => {
                self.phase = Phase::Forced;
                self.report(Report::Forced { request, workers: self.count_workers() });
                self.kill_all(|child| !child.is_helper());
            }
            Phase::Forced => {
                self.phase = Phase::Abandoned;
                self.report(Report::Abandoned { request });
                self.kill_all(|_| true);
            }
            Phase::Abandoned | Phase::Ended => {}
        }
    }

    fn stop_all(&mut self, now: Millis, stop: Stop, grace: Millis) {
        self.phase = Phase::Stopping;
        for id in self.ids(Child::is_worker) {
            self.ask_to_leave(id, stop, now.after(grace));
        }
        for id in self.ids(|child| !child.is_worker()) {
            self.dismiss(id, stop, now.after(grace));
        }
    }

    fn add_slot(&mut self, now: Millis) {
        if self.slots.len() < MAX_WORKERS as usize {
            self.slots.push(Slot { start_at: now, ..Slot::default() });
        }
        self.report(Report::Resized { request: Request::More, workers: self.slots.len() });
    }

    fn remove_slot(&mut self, now: Millis) {
        if self.slots.len() > 1 {
            self.slots.pop();
            let gone = u32::try_from(self.slots.len()).unwrap_or(u32::MAX);
            for id in self.ids(|child| child.is_worker() && child.slot == gone) {
                self.ask_to_leave(id, Stop::Graceful, now.after(self.config.grace));
            }
        }
        self.report(Report::Resized { request: Request::Fewer, workers: self.slots.len() });
    }

    fn handle_fork_failed(&mut self, now: Millis, id: ChildId, why: String) {
        let Some(child) = self.children.remove(&id) else { return };
        let who = child.who();
        let retry_in = if child.is_worker() { self.vacate(now, id, child.slot, None) } else { None };
        self.report(Report::ForkFailed { who, why, retry_in });
    }

    fn handle_exited(&mut self, now: Millis, id: ChildId, exit: Exit) {
        let Some(child) = self.children.remove(&id) else { return };
        let slot = child.slot;
        let after = now.since(child.started);
        let worker = match child.role {
            Role::Worker(worker) => worker,
            Role::Helper => return self.report(Report::HelperExited { id, slot, exit, after }),
            Role::Upgrade { .. } => return self.report(Report::UpgradeFailed { id, exit, after }),
        };
        let asked = worker.standing >= Standing::Leaving;
        let booted = worker.ready_at.is_some() || asked;
        if let Some(place) = self.slots.get_mut(slot as usize).filter(|_| !booted) {
            place.boot_failures = place.boot_failures.saturating_add(1);
        }
        let served = worker.ready_at.map(|at| now.since(at));
        let next = self.vacate(now, id, slot, served).map_or(Next::Nothing, Next::RestartIn);
        self.report(Report::WorkerExited { id, slot, exit, after, booted, next });
        // Who leaves unasked has not said goodbye, whatever its status says: a library may call `exit(0)`.
        let unclean = !asked || exit != Exit::Status(0);
        if unclean && worker.noted && self.config.helpers && self.phase < Phase::Abandoned {
            self.help(now, id, slot);
        }
        self.give_up_if_nobody_boots(now, id, slot);
    }

    /// Only at the first start, when somebody watches and may mend it. A service that has served goes on trying, for
    /// ever: what keeps its workers from booting may pass, and to stop would help nobody.
    fn give_up_if_nobody_boots(&mut self, now: Millis, dead: ChildId, slot: u32) {
        let failures = self.slots.get(slot as usize).map_or(0, |place| place.boot_failures);
        if self.phase == Phase::Running && !self.has_served && failures >= self.config.boot_failures {
            self.outputs.push_back(Output::GiveUp(dead));
            self.report(Report::GaveUp { slot, failures });
            self.stop_all(now, Stop::Graceful, self.config.grace);
        }
    }

    fn handle_ready(&mut self, now: Millis, id: ChildId) {
        let Some(child) = self.children.get_mut(&id) else { return };
        let (slot, after) = (child.slot, now.since(child.started));
        if let Role::Upgrade { leaving: false } = child.role {
            return self.hand_over(now, id);
        }
        let Some(worker) = child.worker_mut().filter(|worker| worker.ready_at.is_none()) else { return };
        worker.ready_at = Some(now);
        worker.heard_at = now;
        self.has_served = true;
        self.report(Report::Ready { id, slot, after });
        if self.successor == Some(id) {
            self.successor = None;
            let old = self.slots[slot as usize].child.replace(id);
            if let Some(old) = old.filter(|old| self.children.get(old).is_some_and(Child::is_outdated)) {
                self.ask_to_leave(old, Stop::Graceful, now.after(self.config.grace));
            }
        }
    }

    /// Does everything that is due: called after each input, so that no rule hangs on a particular one.
    fn advance(&mut self, now: Millis) {
        for id in self.ids(|child| child.kill_at.is_some_and(|at| at <= now)) {
            let child = &self.children[&id];
            if let Role::Upgrade { leaving: false } = child.role {
                self.upgrade_overdue(now, id);
                continue;
            }
            self.report(Report::Overdue { id, who: child.who() });
            self.kill(id);
        }
        if self.phase == Phase::Running {
            self.hurry_if_nobody_serves(now);
            self.fill_slots(now);
            self.replace_the_next(now);
            self.announce();
        } else if self.phase < Phase::Ended && self.children.is_empty() {
            self.phase = Phase::Ended;
            self.report(Report::Stopped);
            self.outputs.push_back(Output::Exit);
        }
    }

    /// It is left as it is: somebody wants to look at it, and what hangs for long is noticed by its silence.
    fn handle_suspended(&mut self, id: ChildId, signal: Option<i32>) {
        let Some(child) = self.children.get_mut(&id) else { return };
        let slot = child.slot;
        let Some(worker) = child.worker_mut().filter(|worker| worker.suspended != signal.is_some()) else {
            return;
        };
        worker.suspended = signal.is_some();
        self.report(Report::Suspended { id, slot, signal });
    }

    fn abort_the_hung(&mut self, now: Millis) {
        if self.phase != Phase::Running {
            return;
        }
        for id in self.ids(|child| child.hangs_at(&self.config).is_some_and(|at| at <= now)) {
            let Some(child) = self.children.get_mut(&id) else { continue };
            child.kill_at = Some(now.after(self.config.quick_grace));
            let slot = child.slot;
            let Some(worker) = child.worker_mut() else { continue };
            worker.standing = Standing::Hung;
            let silent = now.since(worker.heard_at);
            self.report(Report::Hung { id, slot, silent });
            self.outputs.push_back(Output::Abort(id));
        }
    }

    /// Not before it is healthy: else one that needs that much from the start would be replaced without end.
    fn check_memory(&mut self, now: Millis, id: ChildId, bytes: u64) {
        let (cap, healthy_after) = (self.config.max_memory, self.config.healthy_after);
        let Some(child) = self.children.get_mut(&id).filter(|child| child.is_ready()) else { return };
        let slot = child.slot;
        let Some(worker) = child.worker_mut() else { return };
        let is_healthy = worker.ready_at.is_some_and(|at| now.since(at) >= healthy_after);
        if is_healthy && !worker.outdated && cap.is_some_and(|cap| bytes > cap) {
            worker.outdated = true;
            self.report(Report::Overgrown { id, slot, bytes });
        }
    }

    fn fill_slots(&mut self, now: Millis) {
        for slot in 0..self.slots.len() {
            let place = &self.slots[slot];
            if place.child.is_none() && place.start_at <= now && self.has_room() {
                let id = self.spawn(now, slot, self.has_served);
                self.slots[slot].child = Some(id);
            }
        }
    }

    /// Starts the successor of the next outdated worker; that one serves until its successor does.
    fn replace_the_next(&mut self, now: Millis) {
        for worker in self.children.values_mut().filter_map(Child::worker_mut) {
            if worker.ages_at.is_some_and(|at| at <= now) {
                worker.ages_at = None;
                worker.outdated = true;
            }
        }
        let Some((slot, id)) = self.next_to_replace() else { return };
        if self.has_room() && self.slots[slot as usize].start_at <= now {
            self.report(Report::Replacing { id, slot });
            self.successor = Some(self.spawn(now, slot as usize, false));
        }
    }

    /// One at a time: nobody, while a successor boots or a predecessor leaves.
    fn next_to_replace(&self) -> Option<(u32, ChildId)> {
        if self.successor.is_some() || self.children.values().any(Child::is_leaving) {
            return None;
        }
        let mut filled = self.slots.iter().zip(0..).filter_map(|(slot, n)| Some((n, slot.child?)));
        filled.find(|(_, id)| self.children[id].is_outdated())
    }

    /// Never more workers than asked plus one, those included that are on their way out.
    fn has_room(&self) -> bool {
        self.count_workers() <= self.slots.len()
    }

    fn announce(&mut self) {
        let ready = |slot: &Slot| slot.child.is_some_and(|id| self.children[&id].is_ready());
        if !self.slots.iter().all(ready) {
            return;
        }
        if !self.announced {
            self.announced = true;
            self.report(Report::AllReady { workers: self.slots.len() });
            self.outputs.push_back(Output::AllReady);
        }
        if self.reloading && self.count_workers() == self.slots.len() && self.next_to_replace().is_none() {
            self.reloading = false;
            self.report(Report::Reloaded { workers: self.slots.len() });
        }
    }

    fn spawn(&mut self, now: Millis, slot: usize, urgent: bool) -> ChildId {
        // Up to a tenth earlier, so that workers that were born together do not retire together.
        let ages_at =
            self.config.max_age.map(|Millis(age)| now.after(Millis(age - self.rng.u64(0..=age / 10))));
        let slot = u32::try_from(slot).unwrap_or(u32::MAX);
        let worker = Worker {
            ready_at: None,
            heard_at: now,
            noted: false,
            suspended: false,
            standing: Standing::Wanted,
            outdated: false,
            ages_at,
        };
        let id = self.add(Child { slot, started: now, kill_at: None, role: Role::Worker(worker) });
        self.outputs.push_back(Output::Spawn { id, slot, urgent });
        id
    }

    fn help(&mut self, now: Millis, dead: ChildId, slot: u32) {
        let kill_at = Some(now.after(self.config.helper_timeout));
        let id = self.add(Child { slot, started: now, kill_at, role: Role::Helper });
        self.outputs.push_back(Output::Help { id, dead });
    }

    fn add(&mut self, child: Child) -> ChildId {
        let id = ChildId(self.next_id);
        self.next_id += 1;
        self.children.insert(id, child);
        id
    }

    /// Asks a worker that has not been asked as urgently yet.
    fn ask_to_leave(&mut self, id: ChildId, stop: Stop, kill_at: Millis) {
        let Some(child) = self.children.get_mut(&id) else { return };
        let urgent = stop == Stop::Quick;
        let Some(worker) = child.worker_mut() else { return };
        if worker.standing < Standing::Leaving || (urgent && worker.standing == Standing::Leaving) {
            worker.standing = Standing::Leaving;
            child.kill_at = Some(child.kill_at.map_or(kill_at, |at| at.min(kill_at)));
            self.successor.take_if(|next| *next == id);
            self.outputs.push_back(Output::Stop(id, stop));
        }
    }

    fn kill_all(&mut self, which: impl Fn(&Child) -> bool) {
        for id in self.ids(which) {
            self.kill(id);
        }
    }

    fn kill(&mut self, id: ChildId) {
        let Some(child) = self.children.get_mut(&id) else { return };
        child.kill_at = None;
        if let Some(worker) = child.worker_mut() {
            // One that hung keeps its slot until it is dead, so that it is replaced as any dead worker is.
            if worker.standing == Standing::Leaving {
                worker.standing = Standing::Killed;
            }
        }
        self.outputs.push_back(Output::Kill(id));
    }

    fn with_worker(&mut self, id: ChildId, change: impl FnOnce(&mut Worker)) {
        if let Some(worker) = self.children.get_mut(&id).and_then(Child::worker_mut) {
            change(worker);
        }
    }

    fn ids(&self, which: impl Fn(&Child) -> bool) -> Vec<ChildId> {
        self.children.iter().filter(|(_, child)| which(child)).map(|(id, _)| *id).collect()
    }

    fn is_serving(&self) -> bool {
        self.children.values().any(|child| child.is_ready() && !child.worker().is_some_and(|w| w.suspended))
    }

    fn count_workers(&self) -> usize {
        self.children.values().filter(|child| child.is_worker()).count()
    }

    fn report(&mut self, report: Report) {
        self.outputs.push_back(Output::Report(report));
    }
}

/// The most that anybody can ask for.
pub(crate) const MAX_WORKERS: u32 = 1024;

/// Who signals a process and then its group, as `timeout` does, asks once.
const ECHO: Millis = Millis(100);
