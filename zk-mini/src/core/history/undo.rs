//! Undo records: the values that transactions have replaced, so that the tree can be shown as it was.

use std::collections::VecDeque;

use zk_wire::Zxid;

use crate::core::tree::before::Before;

/// Replaced values, oldest first, in a bounded number of bytes. Values are shared with the tree, not copied.
#[derive(Debug)]
pub(super) struct Undo {
    steps: VecDeque<Step>,
    bytes: usize,
    room: usize,
    /// Last transaction that cannot be undone: the earliest state that can be shown is the one after it.
    floor: Zxid,
}

#[derive(Debug)]
struct Step {
    zxid: Zxid,
    /// Bytes that it takes.
    weight: usize,
    before: Before,
}

impl Undo {
    pub(super) fn new(room: usize, floor: Zxid) -> Self {
        Self { steps: VecDeque::new(), bytes: 0, room, floor }
    }

    /// Adds the values that a change of a transaction replaces. The oldest go if there is no room.
    #[inline]
    pub(super) fn push(&mut self, zxid: Zxid, before: Before) {
        let weight = before.weight();
        self.bytes += weight;
        self.steps.push_back(Step { zxid, weight, before });
        if self.bytes > self.room {
            self.drop_oldest();
        }
    }

    /// Drops no more than needed: memory that is freed piece by piece is the next to be used again.
    #[inline(never)]
    fn drop_oldest(&mut self) {
        while self.bytes > self.room
            && let Some(oldest) = self.steps.pop_front()
        {
            self.bytes -= oldest.weight;
            self.floor = self.floor.max(oldest.zxid);
        }
    }

    /// Forgets all: states before the one after `zxid` cannot be shown.
    pub(super) fn forget(&mut self, zxid: Zxid) {
        self.steps.clear();
        self.bytes = 0;
        self.floor = zxid;
    }

    /// Returns the last transaction that cannot be undone.
    pub(super) fn floor(&self) -> Zxid {
        self.floor
    }

    /// Returns the values that were replaced after a transaction, the latest first.
    pub(super) fn since(&self, zxid: Zxid) -> impl Iterator<Item = &Before> {
        self.steps.iter().rev().take_while(move |step| step.zxid > zxid).map(|step| &step.before)
    }
}
