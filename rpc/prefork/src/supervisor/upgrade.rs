//! The hot upgrade: the new program is started beside this one, which leaves when that is ready and stays if it is not.

use common::Millis;

use super::child::{Child, Role};
use super::{ChildId, Output, Phase, Report, Request, Stop, Supervisor};

impl Supervisor {
    pub(super) fn start_upgrade(&mut self, now: Millis) {
        if self.children.values().any(|child| matches!(child.role, Role::Upgrade { .. })) {
            self.report(Report::UpgradeUnderWay);
            return;
        }
        let kill_at = Some(now + self.config.upgrade_timeout);
        let role = Role::Upgrade { leaving: false };
        let id = self.add(Child { slot: 0, started: now, kill_at, role });
        self.report(Report::Upgrading);
        self.outputs.push_back(Output::Upgrade(id));
    }

    /// Leaves the service to the new program, which is ready.
    pub(super) fn hand_over(&mut self, now: Millis, id: ChildId) {
        if self.phase != Phase::Running {
            return;
        }
        let Some(child) = self.children.remove(&id) else { return };
        self.report(Report::HandedOver { id, after: now.since(child.started) });
        self.outputs.push_back(Output::HandOver(id));
        self.stop_more_urgently(now, Request::Upgrade);
    }

    /// Asks the new program to stop: it does not take over any more.
    pub(super) fn dismiss(&mut self, id: ChildId, stop: Stop, kill_at: Millis) {
        let Some(child) = self.children.get_mut(&id) else { return };
        if let Role::Upgrade { leaving: leaving @ false } = &mut child.role {
            *leaving = true;
            child.kill_at = Some(kill_at);
            self.outputs.push_back(Output::Stop(id, stop));
        }
    }

    pub(super) fn upgrade_overdue(&mut self, now: Millis, id: ChildId) {
        self.report(Report::UpgradeOverdue { id, after: self.config.upgrade_timeout });
        self.dismiss(id, Stop::Quick, now + self.config.grace);
    }
}
