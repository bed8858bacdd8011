//! Workers that are hung, suspended, or have grown too large.

use common::Millis;

use super::child::Standing;
use super::{ChildId, Output, Phase, Report, Supervisor};

impl Supervisor {
    pub(super) fn abort_the_hung(&mut self, now: Millis) {
        if self.phase != Phase::Running {
            return;
        }
        for id in self.ids(|child| child.hangs_at(&self.config).is_some_and(|at| at <= now)) {
            let Some(child) = self.children.get_mut(&id) else { continue };
            child.kill_at = Some(now + self.config.quick_grace);
            let slot = child.slot;
            let Some(worker) = child.worker_mut() else { continue };
            worker.standing = Standing::Hung;
            let silent = now.since(worker.heard_at);
            self.report(Report::Hung { id, slot, silent });
            self.outputs.push_back(Output::Abort(id));
        }
    }

    /// Notes that a worker is suspended. It is left alone: an operator may be looking at it, and one that hangs for long
    /// is noticed by its silence.
    pub(super) fn handle_suspended(&mut self, id: ChildId, signal: Option<i32>) {
        let Some(child) = self.children.get_mut(&id) else { return };
        let slot = child.slot;
        let Some(worker) = child.worker_mut().filter(|worker| worker.suspended != signal.is_some()) else {
            return;
        };
        worker.suspended = signal.is_some();
        self.report(Report::Suspended { id, slot, signal });
    }

    /// Marks a worker for replacement if it has too much memory and has been ready for long enough. A worker that needs
    /// that much from the start would be replaced without end otherwise.
    pub(super) fn check_memory(&mut self, now: Millis, id: ChildId, bytes: u64) {
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
}
