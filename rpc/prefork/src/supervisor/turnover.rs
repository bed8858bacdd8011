//! Filling slots and replacing outdated workers: at most one worker more than wanted, and readiness announced once.

use common::Millis;

use super::child::{Child, Role, Slot, Standing, WorkerState};
use super::{ChildId, Output, Report, Stop, Supervisor};

impl Supervisor {
    pub(super) fn handle_ready(&mut self, now: Millis, id: ChildId) {
        let Some(child) = self.children.get_mut(&id) else { return };
        let (slot, after) = (child.slot, now.since(child.started));
        if let Role::Upgrade { leaving: false } = child.role {
            return self.hand_over(now, id);
        }
        // One that was aborted, or asked to leave, takes nobody's place.
        if !child.is_wanted() {
            return;
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
                self.ask_to_leave(old, Stop::Graceful, now + self.config.grace);
            }
        }
    }

    pub(super) fn fill_slots(&mut self, now: Millis) {
        for slot in 0..self.slots.len() {
            let place = &self.slots[slot];
            if place.child.is_none() && place.start_at <= now && self.has_room() {
                let id = self.spawn(now, slot, self.has_served);
                self.slots[slot].child = Some(id);
            }
        }
    }

    /// Starts the successor of the next outdated worker, which serves until the successor is ready.
    pub(super) fn replace_the_next(&mut self, now: Millis) {
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

    /// Returns the time at which the next worker is started, if there is one to start.
    pub(super) fn next_start(&self) -> Option<Millis> {
        let fill = self.slots.iter().filter(|slot| slot.child.is_none()).map(|slot| slot.start_at).min();
        let succeed = self.next_to_replace().map(|(slot, _)| self.slots[slot as usize].start_at);
        fill.into_iter().chain(succeed).min().filter(|_| self.has_room())
    }

    /// Announces readiness once, and the end of each rolling restart.
    pub(super) fn announce(&mut self) {
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

    /// Returns the next outdated worker and its slot; none while a successor boots or a predecessor leaves, since
    /// workers are replaced one at a time.
    fn next_to_replace(&self) -> Option<(u32, ChildId)> {
        if self.successor.is_some() || self.children.values().any(Child::is_leaving) {
            return None;
        }
        let mut filled = self.slots.iter().zip(0..).filter_map(|(slot, n)| Some((n, slot.child?)));
        filled.find(|(_, id)| self.children[id].is_outdated())
    }

    /// Returns true if one more worker may be started: at most one more than wanted, counting those that leave. These do not
    /// count if no other is left: clients would miss it for as long as they take.
    fn has_room(&self) -> bool {
        self.count_workers() <= self.slots.len() || !self.children.values().any(Child::is_wanted)
    }

    fn spawn(&mut self, now: Millis, slot: usize, urgent: bool) -> ChildId {
        // Up to a tenth earlier, so that workers that were started together do not retire together.
        let ages_at =
            self.config.max_age.map(|Millis(age)| now + Millis(age - self.random.u64(0..=age / 10)));
        let slot = u32::try_from(slot).unwrap_or(u32::MAX);
        let worker = WorkerState {
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
}
