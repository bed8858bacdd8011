//! Requests of the operator, and the way to the end: ask, kill the workers, kill the helpers.

use common::Millis;

use super::child::{Child, Slot, Standing};
use super::{ChildId, MAX_WORKERS, Output, Phase, Report, Request, Stop, Supervisor};

/// Time within which the same request counts once: tools such as `timeout` signal a process and then its group.
const ECHO: Millis = Millis(100);

impl Supervisor {
    pub(super) fn handle_request(&mut self, now: Millis, request: Request) {
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
            (Request::Usr1, _) => {
                self.outputs.push_back(Output::Usr1Hook);
                self.outputs.extend(self.ids(Child::is_worker).into_iter().map(Output::PassOnUsr1));
            }
            (Request::Terminate | Request::Interrupt | Request::Quit, _)
            | (Request::CannotFork, Phase::Running) => {
                self.stop_more_urgently(now, request);
            }
            // The parent stops already. That it still cannot fork is no reason to hurry.
            (
                Request::Reload | Request::More | Request::Fewer | Request::Upgrade | Request::CannotFork,
                _,
            ) => {}
        }
    }

    /// Takes a request to stop. Each one is more urgent than the one before, whatever its name.
    pub(super) fn stop_more_urgently(&mut self, now: Millis, request: Request) {
        let is_echo = |(last, at): (Request, Millis)| last == request && now.since(at) < ECHO;
        if self.stop_asked.replace((request, now)).is_some_and(is_echo) {
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

    pub(super) fn stop_all(&mut self, now: Millis, stop: Stop, grace: Millis) {
        self.phase = Phase::Stopping;
        self.outputs.push_back(Output::CloseListeners);
        for id in self.ids(Child::is_worker) {
            self.ask_to_leave(id, stop, now + grace);
        }
        for id in self.ids(|child| !child.is_worker()) {
            self.dismiss(id, stop, now + grace);
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
                self.ask_to_leave(id, Stop::Graceful, now + self.config.grace);
            }
        }
        self.report(Report::Resized { request: Request::Fewer, workers: self.slots.len() });
    }

    /// Asks a worker to stop, unless it has been asked as urgently before.
    pub(super) fn ask_to_leave(&mut self, id: ChildId, stop: Stop, kill_at: Millis) {
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

    pub(super) fn kill(&mut self, id: ChildId) {
        let Some(child) = self.children.get_mut(&id) else { return };
        child.kill_at = None;
        if let Some(worker) = child.worker_mut() {
            // A hung worker keeps its slot until it is dead, so that it is replaced as any dead worker is.
            if worker.standing == Standing::Leaving {
                worker.standing = Standing::Killed;
            }
        }
        self.outputs.push_back(Output::Kill(id));
    }
}
