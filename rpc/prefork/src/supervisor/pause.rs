//! Pauses before a slot is filled again: none after a worker that served, growing ones while workers fail to boot.

use common::{Backoff, Millis};

use super::{ChildId, Phase, Supervisor};

/// Longest pause while no worker serves, and after a worker that was ready only for a moment.
const UNSERVED_PAUSE: Millis = Millis(1_000);

/// Shortest pause, whatever the configuration says, so that no slot is retried in a busy loop.
const LEAST_PAUSE: Millis = Millis(10);

impl Supervisor {
    /// Empties the slot of a worker that is gone. `served` is the time for which it was ready, if it ever was.
    ///
    /// Returns the pause after which the slot is filled again, or `None` if it is not.
    pub(super) fn vacate(
        &mut self,
        now: Millis,
        id: ChildId,
        slot: u32,
        served: Option<Millis>,
    ) -> Option<Millis> {
        let place = self.slots.get_mut(slot as usize)?;
        let was_successor = self.successor.take_if(|next| *next == id).is_some();
        if !was_successor && place.child == Some(id) {
            // A successor that boots already takes the slot now instead of waiting for its turn.
            place.child =
                self.successor.take_if(|next| self.children.get(next).is_some_and(|c| c.slot == slot));
        } else if !was_successor {
            return None;
        }
        if self.phase != Phase::Running {
            return None;
        }
        let pause = self.pause_after(slot, served);
        let place = &mut self.slots[slot as usize];
        place.restarts = place.restarts.saturating_add(1);
        place.start_at = now + pause;
        (was_successor || place.child.is_none()).then_some(pause)
    }

    /// Returns the pause after a worker that is gone: none if it served, because clients miss it.
    ///
    /// Pauses grow while workers die before they are ready. They grow up to [`UNSERVED_PAUSE`] too while workers die as
    /// soon as they are ready, which would keep the machine busy otherwise.
    fn pause_after(&mut self, slot: u32, served: Option<Millis>) -> Millis {
        let least = self.config.backoff_min.max(LEAST_PAUSE);
        let is_serving = self.is_serving();
        let place = &mut self.slots[slot as usize];
        if served.is_some_and(|served| served >= least) {
            place.streak = 0;
            return Millis(0);
        }
        let most = if served.is_some() || !is_serving {
            self.config.backoff_max.clamp(LEAST_PAUSE, UNSERVED_PAUSE)
        } else {
            self.config.backoff_max.max(LEAST_PAUSE)
        };
        let failures = place.streak;
        place.streak = failures.saturating_add(1);
        Backoff::new(least, most).pause(failures, &mut self.random)
    }

    /// Shortens the pauses of all slots to [`UNSERVED_PAUSE`] when no worker serves any more.
    pub(super) fn hurry_if_unserved(&mut self, now: Millis) {
        if !self.is_serving() {
            let latest = now + UNSERVED_PAUSE;
            self.slots.iter_mut().for_each(|slot| slot.start_at = slot.start_at.min(latest));
        }
    }
}
