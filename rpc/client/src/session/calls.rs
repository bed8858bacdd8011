//! Calls without their replies.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::mem;

use common::Millis;
use rpc_wire::CallId;

/// The calls in flight, by id.
#[derive(Debug)]
pub(super) struct Calls<C> {
    by_id: HashMap<CallId, InFlight<C>, BuildHasherDefault<IdHasher>>,
    /// Sum of the lengths of their arguments.
    arguments: usize,
    /// Lower bound of all deadlines. It stays when a call ends, because one needless look costs less than a sorted set.
    earliest: Option<Millis>,
}

#[derive(Debug)]
struct InFlight<C> {
    call: C,
    deadline: Millis,
    argument: usize,
}

impl<C> Default for Calls<C> {
    fn default() -> Self {
        Self { by_id: HashMap::default(), arguments: 0, earliest: None }
    }
}

impl<C> Calls<C> {
    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Returns the sum of the lengths of their arguments.
    pub(super) fn arguments(&self) -> usize {
        self.arguments
    }

    pub(super) fn insert(&mut self, id: CallId, call: C, deadline: Millis, argument: usize) {
        self.by_id.insert(id, InFlight { call, deadline, argument });
        self.arguments += argument;
        self.earliest = Some(self.earliest.map_or(deadline, |earliest| earliest.min(deadline)));
    }

    pub(super) fn remove(&mut self, id: CallId) -> Option<C> {
        let InFlight { call, argument, .. } = self.by_id.remove(&id)?;
        self.arguments -= argument;
        Some(call)
    }

    /// Returns a time before which no deadline comes.
    pub(super) fn earliest(&self) -> Option<Millis> {
        self.earliest
    }

    /// Removes the calls whose deadline has come.
    pub(super) fn late(&mut self, now: Millis) -> Vec<(CallId, C)> {
        if self.earliest.is_none_or(|earliest| now < earliest) {
            return Vec::new();
        }
        let late = self.by_id.extract_if(|_, in_flight| in_flight.deadline <= now);
        let late = late.map(|(id, in_flight)| in_flight.end(id, &mut self.arguments)).collect();
        self.earliest = self.by_id.values().map(|in_flight| in_flight.deadline).min();
        late
    }

    /// Removes the calls with a higher id.
    pub(super) fn after(&mut self, last: CallId) -> Vec<(CallId, C)> {
        let later = self.by_id.extract_if(|id, _| *id > last);
        later.map(|(id, in_flight)| in_flight.end(id, &mut self.arguments)).collect()
    }

    pub(super) fn take_all(&mut self) -> impl Iterator<Item = (CallId, C)> + use<C> {
        (self.earliest, self.arguments) = (None, 0);
        mem::take(&mut self.by_id).into_iter().map(|(id, in_flight)| (id, in_flight.call))
    }
}

impl<C> InFlight<C> {
    fn end(self, id: CallId, arguments: &mut usize) -> (CallId, C) {
        *arguments -= self.argument;
        (id, self.call)
    }
}

/// Hashes ids of calls. The ids are our own, so they need no defence against collisions on purpose.
#[derive(Debug, Default)]
pub(super) struct IdHasher(u64);

impl Hasher for IdHasher {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64((*byte).into());
        }
    }

    fn write_u64(&mut self, n: u64) {
        // The ids differ in their low bits, but the table uses the top bits, too.
        self.0 = (self.0 ^ n).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
