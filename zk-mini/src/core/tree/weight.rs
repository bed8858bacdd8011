//! Weights: a number of nodes with the bytes of their data.

use std::ops::{AddAssign, Neg};

/// Number of nodes and bytes of their data; negative for nodes that are deleted.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Weight {
    pub(crate) nodes: i64,
    pub(crate) bytes: i64,
}

impl Weight {
    /// Returns the weight of one node.
    pub(crate) fn of_one(data_len: usize) -> Self {
        Self { nodes: 1, bytes: signed(data_len) }
    }

    /// Returns the change of weight when data is replaced.
    pub(crate) fn of_change(old: usize, new: usize) -> Self {
        Self { nodes: 0, bytes: signed(new) - signed(old) }
    }
}

/// Wraps on overflow: sums can be wrong in a replay after a fuzzy snapshot, and are computed again at its end.
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

/// Converts a length for subtraction.
pub(crate) fn signed(len: usize) -> i64 {
    i64::try_from(len).unwrap_or(i64::MAX)
}
