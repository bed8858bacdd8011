//! Deaths of children and failed forks: helpers for dead workers, and giving the service up.

use common::Millis;

use super::child::{Child, Role, Standing};
use super::{ChildId, Exit, Output, Phase, Report, Stop, Supervisor};

impl Supervisor {
    pub(super) fn handle_fork_failed(&mut self, now: Millis, id: ChildId, why: String) {
        let Some(child) = self.children.remove(&id) else { return };
        if !child.is_worker() {
            return self.report(Report::ForkFailed { child: child.name(), why, retry_in: None });
        }
        self.count_boot_failure(child.slot);
        let retry_in = self.vacate(now, id, child.slot, None);
        self.report(Report::ForkFailed { child: child.name(), why, retry_in });
        self.give_up_if_none_boots(now, id, child.slot);
    }

    pub(super) fn handle_exited(&mut self, now: Millis, id: ChildId, exit: Exit) {
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
        if !booted {
            self.count_boot_failure(slot);
        }
        let served = worker.ready_at.map(|at| now.since(at));
        let restart_in = self.vacate(now, id, slot, served);
        self.report(Report::WorkerExited { id, slot, exit, after, booted, restart_in });
        // Status 0 means "cleaned up" only from a worker that was asked to stop: a library may call `exit(0)`.
        let unclean = !asked || exit != Exit::Status(0);
        if unclean && worker.noted && self.config.helpers && self.phase < Phase::Abandoned {
            self.help(now, id, slot);
        }
        self.give_up_if_none_boots(now, id, slot);
    }

    fn count_boot_failure(&mut self, slot: u32) {
        if let Some(place) = self.slots.get_mut(slot as usize) {
            place.boot_failures = place.boot_failures.saturating_add(1);
        }
    }

    fn help(&mut self, now: Millis, dead: ChildId, slot: u32) {
        let kill_at = Some(now + self.config.helper_timeout);
        let id = self.add(Child { slot, started: now, kill_at, role: Role::Helper });
        self.outputs.push_back(Output::Help { id, dead });
    }

    /// Gives the service up if no worker has ever been ready and the slot has failed to boot too often.
    ///
    /// That is for the first start, which an operator watches. A service that has served tries again for ever: the
    /// cause may pass, and giving up would help no client.
    fn give_up_if_none_boots(&mut self, now: Millis, dead: ChildId, slot: u32) {
        let failures = self.slots.get(slot as usize).map_or(0, |place| place.boot_failures);
        if self.phase == Phase::Running && !self.has_served && failures >= self.config.boot_failures {
            self.outputs.push_back(Output::GiveUp(dead));
            self.report(Report::GaveUp { slot, failures });
            self.stop_all(now, Stop::Graceful, self.config.grace);
        }
    }
}
