//! Pauses before a place is filled again: none after a worker that served, longer and longer where none comes to serve.

use super::{ChildId, Phase, Supervisor};
use crate::millis::Millis;

impl Supervisor {
    /// A worker is no more, and `served` for so long if it ever did. Empties what it filled and, if that is to be
    /// filled again, says after which pause.
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
            // If it had a successor already, that one need not wait for its turn any more.
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
        place.start_at = now.after(pause);
        (was_successor || place.child.is_none()).then_some(pause)
    }

    /// None after a worker that served: it is missed. It grows while workers die before they are ready, and up to
    /// [`UNSERVED_PAUSE`] while they die as soon as they are, which would keep the machine busy otherwise.
    fn pause_after(&mut self, slot: u32, served: Option<Millis>) -> Millis {
        let least = self.config.backoff_min.max(LEAST_PAUSE);
        let place = &mut self.slots[slot as usize];
        if served.is_some_and(|served| served >= least) {
            place.streak = 0;
            return Millis(0);
        }
        let doubled = Millis(least.0.saturating_mul(1 << place.streak.min(20)));
        place.streak = place.streak.saturating_add(1);
        let Millis(base) = if served.is_some() || !self.is_serving() {
            doubled.min(self.config.backoff_max.clamp(LEAST_PAUSE, UNSERVED_PAUSE))
        } else {
            doubled.min(self.config.backoff_max.max(LEAST_PAUSE))
        };
        // Half of it is by chance, so that workers that died together do not come back, and die again, together.
        Millis(base - self.rng.u64(0..=base / 2))
    }

    /// Slots that wait since others served wait no longer than they would if their worker had died now.
    pub(super) fn hurry_if_nobody_serves(&mut self, now: Millis) {
        if !self.is_serving() {
            let latest = now.after(UNSERVED_PAUSE);
            self.slots.iter_mut().for_each(|slot| slot.start_at = slot.start_at.min(latest));
        }
    }
}

/// The longest pause while nobody serves, and after workers that served, if only for a moment.
const UNSERVED_PAUSE: Millis = Millis(1_000);

/// The shortest pause that grows, whatever the configuration says: nothing is tried again without end and at once.
const LEAST_PAUSE: Millis = Millis(10);
