//! Weights: numbers of nodes with the bytes of their data.

use std::ops::{AddAssign, Neg};

/// Some nodes and the bytes of their data; negative where they go.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Weight {
    pub(crate) nodes: i64,
    pub(crate) bytes: i64,
}

impl Weight {
    /// One node with so much data.
    pub(crate) fn of_one(data_len: usize) -> Self {
        Self { nodes: 1, bytes: signed(data_len) }
    }

    /// The change when a node's data is replaced.
    pub(crate) fn of_change(old: usize, new: usize) -> Self {
        Self { nodes: 0, bytes: signed(new) - signed(old) }
    }
}

/// While a fuzzy snapshot is followed by what it shows in part, sums may be wrong; they are made anew at the end.
impl AddAssign for Weight {
    fn add_assign(&mut self, other: Self) {
        self.nodes = self.nodes.wrapping_add(other.nodes);
        self.bytes = self.bytes.wrapping_add(other.bytes);
    }
}

impl Neg for Weight {
    type Output = Self;

    fn neg(self) -> Self {
        Self { nodes: self.nodes.wrapping_neg(), bytes: self.bytes.wrapping_neg() }
    }
}

/// Returns a length as a number that can be subtracted.
pub(crate) fn signed(len: usize) -> i64 {
    i64::try_from(len).unwrap_or(i64::MAX)
}
